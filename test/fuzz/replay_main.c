// Stands in for libFuzzer: runs the target once on each file of the corpus, which makes the
// corpus a regression test for any compiler. Arguments are files or folders of files.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned inputs;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;
	int err = 0;

	if (!f || fstat(fileno(f), &st)) {
		err = -errno;
		goto out;
	}
	// Exactly as long as the input, so that the sanitizer sees a read of one byte more.
	data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		err = -EIO;
		goto out;
	}
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	inputs++;
out:
	if (err)
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
	free(data);
	if (f)
		fclose(f);
	return err;
}

static int run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int err = 0;

	if (!dir) {
		err = -errno;
		fprintf(stderr, "%s: %s\n", path, strerror(-err));
		return err;
	}
	while (!err && (entry = readdir(dir))) {
		char file[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		err = run_file(file);
	}
	closedir(dir);
	return err;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int err;

		if (stat(argv[i], &st)) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		err = S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
		if (err)
			return 1;
	}
	printf("%u inputs\n", inputs);
	return inputs > 0 ? 0 : 1;
}

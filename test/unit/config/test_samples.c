// What is shown to users is true: the samples and the documentation's configuration load, and the
// reference is the one that the code generates.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/doc.h"

static char dir[64];

static const char *source(void)
{
	const char *s = getenv("PORT500_SOURCE");

	return s != NULL ? s : ".";
}

static int setup(void **state)
{
	char command[512];

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test-samples.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	// As they are to be installed: a checkout is readable by everybody.
	snprintf(command, sizeof(command), "cp -r '%s'/config/samples/. %s && chmod -R go= %s",
		 source(), dir, dir);
	return system(command);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static struct config *load(const char *path)
{
	struct config *c = NULL;
	struct error err = {""};

	if (config_load(path, &c, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < c->n_warnings; i++) {
		// A sample for a large machine is tested on a small one.
		if (strstr(c->warnings[i], "but this machine has") == NULL)
			fail_msg("%s", c->warnings[i]);
	}
	return c;
}

static void test_samples_load(void **state)
{
	char pattern[128];
	glob_t found = {0};

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/*.conf", dir);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 4);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct config *c = load(found.gl_pathv[i]);

		assert_true(c->gateway.n_ports >= 2);
		assert_true(c->n_conns >= 1);
		config_destroy(c);
	}
	globfree(&found);
}

static void test_hub(void **state)
{
	char path[128];
	const struct config_conn *vienna, *kiosk;
	struct config *c;

	(void)state;
	snprintf(path, sizeof(path), "%s/hub.conf", dir);
	c = load(path);
	assert_int_equal(c->n_conns, 3);
	assert_int_equal(c->n_files, 4);
	vienna = config_conn_find(c, "vienna");
	assert_int_equal(vienna->dpd_delay_ms, 20000);
	assert_int_equal(vienna->children[0].start_action, START_START);
	assert_int_equal(vienna->children[0].remote_ts.n, 2);
	assert_int_equal(vienna->n_remote, 1);
	kiosk = config_conn_find(c, "kiosk");
	assert_int_equal(kiosk->children[0].close_action, DEAD_CLEAR);
	assert_string_equal(config_psk_find(c, &kiosk->local_side.id, &kiosk->remote_side.id)->name,
			    "ike-kiosk");
	config_destroy(c);
}

// A key that everybody may read.
static void test_readable_secrets(void **state)
{
	char path[128], command[256], wanted[512];
	struct config *c = NULL;
	struct error err = {""};

	(void)state;
	snprintf(path, sizeof(path), "%s/lab-gw-a.conf", dir);
	snprintf(command, sizeof(command), "chmod 644 %s", path);
	assert_int_equal(system(command), 0);
	assert_int_equal(config_load(path, &c, &err), 0);
	assert_int_equal(c->n_warnings, 1);
	snprintf(wanted, sizeof(wanted),
		 "%s:%d: secrets.ike-lab: everybody may read this file; run chmod 600 %s", path,
		 c->psks[0].where.line, path);
	assert_string_equal(c->warnings[0], wanted);
	config_destroy(c);
}

static char *read_page(void)
{
	char path[512], *text = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/docs/configuration.md", source());
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

// The first block of indented lines is a whole configuration.
static void test_configuration_of_the_page_loads(void **state)
{
	char *page = read_page(), *start = strstr(page, "\n    "), *end, *text;
	struct config *c = NULL;
	struct error err = {""};

	(void)state;
	assert_non_null(start);
	end = strstr(start, "\n\n");
	assert_non_null(end);
	text = strndup(start, (size_t)(end - start));
	if (config_load_text("configuration.md", text, strlen(text), &c, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(c->n_warnings, 0);
	assert_int_equal(c->n_conns, 1);
	config_destroy(c);
	free(text);
	free(page);
}

static void test_reference_is_generated(void **state)
{
	char *page = read_page(), *mark = strstr(page, CONFIG_DOC_MARK), *generated = NULL;
	size_t size;
	FILE *f = open_memstream(&generated, &size);

	(void)state;
	assert_non_null(mark);
	assert_int_equal(config_doc_write(f), 0);
	fclose(f);
	if (strcmp(mark, generated) != 0)
		fail_msg("docs/configuration.md is not what the code says; run "
			 "devtools/gen-config-doc");
	free(generated);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_samples_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readable_secrets, setup, teardown),
		cmocka_unit_test(test_configuration_of_the_page_loads),
		cmocka_unit_test(test_reference_is_generated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

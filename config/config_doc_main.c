// port500-config-doc: writes the generated part of docs/configuration.md to standard output.
#include "config/doc.h"

int main(void)
{
	return config_doc_write(stdout) == 0 ? 0 : 1;
}

#include "lib/esp_sa.h"

void esp_sa_fini(struct esp_sa *sa)
{
	if (!sa)
		return;
	secret_fini(&sa->encr_key);
	secret_fini(&sa->integ_key);
	*sa = (struct esp_sa){0};
}

#include "control/cli/phrases.h"

static const char *const phrases[PHRASE_COUNT][LANG_COUNT] = {
#define X(id, en, zh) [PHRASE_##id] = {[LANG_EN] = en, [LANG_ZH] = zh},
	PHRASES(X)
#undef X
};

const char *phrase(enum phrase p, enum lang lang)
{
	return phrases[p][lang];
}

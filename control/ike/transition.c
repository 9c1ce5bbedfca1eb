#include "control/ike/transition.h"

static const struct ike_transitions *const tables[] = {
	&ike_sa_init_transitions,
	&ike_auth_transitions,
	&create_child_transitions,
	&informational_transitions,
};

const struct ike_transition *transition_find(enum ike_phase from, uint8_t exchange,
					     enum exchange_role role)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (size_t k = 0; k < tables[i]->n; k++) {
			const struct ike_transition *row = &tables[i]->row[k];

			if (row->from == from && row->exchange == exchange && row->role == role)
				return row;
		}
	return NULL;
}

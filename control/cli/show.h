// Answers of the daemon as text for people. Each function prints one answer; `root` holds the
// response and the events as control/cli/cli.h puts them together.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "control/cli/tree.h"

void show_status(FILE *out, const struct node *root);
void show_ike(FILE *out, const struct node *root);
void show_child(FILE *out, const struct node *root);
void show_policies(FILE *out, const struct node *root);
void show_routes(FILE *out, const struct node *root);
void show_ports(FILE *out, const struct node *root);
void show_interfaces(FILE *out, const struct node *root);
void show_workers(FILE *out, const struct node *root);
void show_guard(FILE *out, const struct node *root);
// How many. *before: those before the last start come first; keep it from one call to the next.
size_t show_events(FILE *out, const struct node *root, bool *before);
void show_ike_headers(FILE *out, const struct node *root);
void show_history(FILE *out, const struct node *root, bool all);
void show_refusals(FILE *out, const struct node *root);
void show_drops(FILE *out, const struct node *root, bool all);

// The running gateway: everything control holds, in one place.
//
// Threads: control only.
#pragma once

#include <stdint.h>

#include "config/config.h"
#include "control/ike_run.h"
#include "control/netmirror.h"
#include "dataplane/dp.h"
#include "lib/error.h"

struct crl_fetch;
struct cred;
struct doctor_watch;
struct event;
struct event_base;
struct links;
struct recorder;
struct recorder_feed;
struct revocation_fetch;
struct vici_server;

struct daemon {
	struct event_base *base;
	struct dp *dp;
	struct config *config; // running
	struct cred *creds;    // of config, until daemon_start gives them to ike
	const char *config_path;
	struct netmirror *netmirror;
	struct links *links;
	struct recorder *recorder;
	struct recorder_feed *feed;
	struct ike_run *ike;
	struct doctor_watch *doctor;
	struct crl_fetch *crl_fetch;
	struct revocation_fetch *revocation;
	struct vici_server *vici;
	uint64_t started_ms; // monotonic
	uint64_t generation; // of the configuration, from 1
	struct event *dp_events, *housekeeping;
};

// Starts everything from d->config and d->creds, which the caller has loaded, on d->base. On error what was
// made is undone, and *err says in a sentence what failed and what to do.
int daemon_start(struct daemon *d, struct error *err);
// Takes everything away that daemon_start made, and the configuration.
void daemon_stop(struct daemon *d);

// Loads the configuration file again and applies it; on error nothing has changed.
// *summary (may be NULL) says what changed, in a sentence.
int daemon_reload(struct daemon *d, struct error *summary, struct error *err);
// Logs a warning of creds_load.
void daemon_warn(void *ctx, const char *text);
uint64_t daemon_now_ms(void); // monotonic

/* What to put into a plan, for screens that need one. */
#ifndef FERRYMAN_UI_PLAN_HELP_H
#define FERRYMAN_UI_PLAN_HELP_H

#include "base/buf.h"
#include "ui/draw.h"

struct ui;

enum plan_help { PLAN_HELP_WHOLE, PLAN_HELP_RAFT, PLAN_HELP_POSTGRES };

/* A short plan as YAML, and how to start with it. */
const char *plan_help_yaml(enum plan_help which);
const char *plan_help_why(enum plan_help which);
/* Explanation and YAML as a page. */
void plan_help_draw(struct ui *ui, struct rect r, enum plan_help which);

#endif

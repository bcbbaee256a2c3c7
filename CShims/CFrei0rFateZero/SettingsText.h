/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FATEZERO_SETTINGS_TEXT_H
#define FATEZERO_SETTINGS_TEXT_H

#include <stddef.h>

#include "fatezero.h"

enum { FATEZERO_SETTINGS_MESSAGE = 1024 };

/**
 * Writes settings into a context. What is wrong does not keep the rest from being written.
 *
 * A text like `steps=20&source=a cat`, in which `%XX` is the byte with that hexadecimal number, so that hosts with
 * marks of their own can be given any prompt: `%27` for an apostrophe, `%26` for `&`, `%25` for a percent sign before two
 * such digits. Or `@FILE`: a file with one `name=value` a line, taken as written; empty lines and lines that begin with
 * `#` mean nothing.
 *
 * @param prompt Whether a text is the value of `edit` itself.
 * @param message Room for FATEZERO_SETTINGS_MESSAGE bytes; what was wrong first. Left alone if it holds a message.
 * @return 0 if all was right.
 */
int fatezero_settings_apply(fatezero_context *context, const char *text, int prompt, char *message);

#endif

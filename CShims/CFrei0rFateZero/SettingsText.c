/* SPDX-License-Identifier: Apache-2.0 */
#include "SettingsText.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A settings file is a page of text; what is larger was named by mistake. */
static const size_t largest_file = 1 << 20;

static int fail(char *message, const char *place, const char *what) {
  if (message[0] == '\0') snprintf(message, FATEZERO_SETTINGS_MESSAGE, "%s%s", place, what);
  return -1;
}

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/** In place: `%XX` becomes its byte. */
static void decode(char *text) {
  char *end = text;
  for (const char *next = text; *next != '\0';) {
    int value = -1;
    if (next[0] == '%' && digit(next[1]) >= 0 && digit(next[2]) >= 0) value = digit(next[1]) * 16 + digit(next[2]);
    // A zero byte would end the text.
    *end++ = value > 0 ? (char)value : *next;
    next += value > 0 ? 3 : 1;
  }
  *end = '\0';
}

static char *trimmed(char *text) {
  text += strspn(text, " \t\r");
  size_t length = strlen(text);
  while (length > 0 && strchr(" \t\r", text[length - 1])) text[--length] = '\0';
  return text;
}

static int set(fatezero_context *context, const char *name, const char *value, const char *place, char *message) {
  if (fatezero_set(context, name, value) == FATEZERO_OK) return 0;
  return fail(message, place, fatezero_error(context));
}

/** One `name=value`; cut in place. */
static int set_entry(fatezero_context *context, char *entry, int encoded, const char *place, char *message) {
  entry = trimmed(entry);
  char *equals = strchr(entry, '=');
  if (equals == NULL || equals == entry) {
    char what[256];
    snprintf(what, sizeof what, "\"%.200s\" is no setting; write name=value", entry);
    return fail(message, place, what);
  }
  *equals = '\0';
  char *name = trimmed(entry), *value = trimmed(equals + 1);
  if (encoded) {
    decode(name);
    decode(value);
  }
  return set(context, name, value, place, message);
}

/** The file's bytes with a zero behind them, to be freed; NULL with a message. */
static char *contents(const char *path, char *message) {
  char place[512];
  snprintf(place, sizeof place, "settings file %.400s: ", path);
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    fail(message, place, strerror(errno));
    return NULL;
  }
  char *text = malloc(largest_file + 2);
  size_t count = text == NULL ? 0 : fread(text, 1, largest_file + 1, file);
  int unreadable = ferror(file);
  fclose(file);
  const char *what = text == NULL           ? "no memory to read it"
                     : unreadable           ? "it cannot be read"
                     : count > largest_file ? "it is too large to be one"
                                            : NULL;
  if (what != NULL) {
    fail(message, place, what);
    free(text);
    return NULL;
  }
  text[count] = '\0';
  if (strlen(text) == count) return text;
  fail(message, place, "it is no text");
  free(text);
  return NULL;
}

static int apply_file(fatezero_context *context, const char *path, char *message) {
  char *text = contents(path, message);
  if (text == NULL) return -1;
  int result = 0, number = 0;
  char *rest = text;
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    number++;
    char first = *trimmed(line);
    if (first == '\0' || first == '#') continue;
    char place[512];
    snprintf(place, sizeof place, "settings file %.400s, line %d: ", path, number);
    if (set_entry(context, line, 0, place, message) != 0) result = -1;
  }
  free(text);
  return result;
}

int fatezero_settings_apply(fatezero_context *context, const char *text, int prompt, char *message) {
  if (text[0] == '\0') return 0;
  if (text[0] == '@') return apply_file(context, text + 1, message);
  char *copy = strdup(text);
  if (copy == NULL) return fail(message, "", "no memory for the settings");
  int result = 0;
  if (prompt) {
    decode(copy);
    result = set(context, "edit", copy, "", message);
  } else {
    char *rest = copy;
    for (char *entry; (entry = strsep(&rest, "&")) != NULL;) {
      if (*trimmed(entry) != '\0' && set_entry(context, entry, 1, "", message) != 0) result = -1;
    }
  }
  free(copy);
  return result;
}

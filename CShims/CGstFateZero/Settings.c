#include "Settings.h"

#include <string.h>

// Word of a choice that has no default among its words: the setting is not set.
#define NONE "none"

struct GstFateZeroSettings {
  GMutex lock;
  guint count;
  // Under the lock, by knob. NULL: not written; not known.
  char **written, **effective;
  gboolean changed;
  // What the context was given; that thread's alone.
  char **given;
};

static guint knob_count(void) {
  guint count = 0;
  while (fatezero_knob_at(count)) count++;
  return count;
}

// MARK: - Properties

// "cross-replace": "Cross replace".
static char *nick(const fatezero_knob *knob) {
  char *text = g_strdelimit(g_strdup(knob->name), "-", ' ');
  text[0] = g_ascii_toupper(text[0]);
  return text;
}

static gboolean has_word(const fatezero_knob *knob, const char *word) {
  return g_strv_contains((const char *const *)knob->choices, word);
}

// GstFateZeroCrossMode for "cross-mode". Enumerations live as long as the process.
static GType choice_type(const fatezero_knob *knob) {
  GString *name = g_string_new("GstFateZero");
  char **parts = g_strsplit(knob->name, "-", -1);
  for (char **part = parts; *part; part++) {
    g_string_append_c(name, g_ascii_toupper(**part));
    g_string_append(name, *part + 1);
  }
  g_strfreev(parts);

  GType type = g_type_from_name(name->str);
  if (!type) {
    GArray *values = g_array_new(TRUE, TRUE, sizeof(GEnumValue));
    if (!has_word(knob, knob->default_text)) g_array_append_val(values, ((GEnumValue){0, "Not set", NONE}));
    for (const char *const *word = knob->choices; *word; word++)
      g_array_append_val(values, ((GEnumValue){(int)values->len, *word, *word}));
    type = g_enum_register_static(name->str, (GEnumValue *)(void *)g_array_free(values, FALSE));
    gst_type_mark_as_plugin_api(type, 0);
  }
  g_string_free(name, TRUE);
  return type;
}

static int choice_value(GType type, const char *word) {
  GEnumClass *klass = g_type_class_ref(type);
  const GEnumValue *value = g_enum_get_value_by_nick(klass, word);
  int number = value ? value->value : 0;
  g_type_class_unref(klass);
  return number;
}

static GParamSpec *property_of(const fatezero_knob *knob) {
  // Settings hold from the next window on, so that all of them may change at any time.
  GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_NAME | GST_PARAM_MUTABLE_PLAYING;
  char *nickname = nick(knob);
  gboolean told = knob->kind == FATEZERO_KNOB_LIST;  // ranges of the other kinds are the property's own
  char *blurb = told ? g_strdup_printf("%s Takes %s.", knob->blurb, knob->range) : g_strdup(knob->blurb);
  GParamSpec *property = NULL;
  switch (knob->kind) {
    case FATEZERO_KNOB_INTEGER:
      property = g_param_spec_int(
          knob->name, nickname, blurb, (int)knob->minimum, (int)knob->maximum,
          (int)g_ascii_strtoll(knob->default_text, NULL, 10), flags);
      break;
    case FATEZERO_KNOB_NUMBER:
      property = g_param_spec_double(
          knob->name, nickname, blurb, knob->minimum, knob->maximum, g_ascii_strtod(knob->default_text, NULL), flags);
      break;
    case FATEZERO_KNOB_FLAG:
      property = g_param_spec_boolean(knob->name, nickname, blurb, strcmp(knob->default_text, "true") == 0, flags);
      break;
    case FATEZERO_KNOB_CHOICE: {
      GType type = choice_type(knob);
      property = g_param_spec_enum(knob->name, nickname, blurb, type, choice_value(type, knob->default_text), flags);
      break;
    }
    case FATEZERO_KNOB_TEXT:
    case FATEZERO_KNOB_PATH:
    case FATEZERO_KNOB_LIST:
      property =
          g_param_spec_string(knob->name, nickname, blurb, knob->default_text[0] ? knob->default_text : NULL, flags);
      break;
  }
  g_free(nickname);
  g_free(blurb);
  return property;
}

void gst_fatezero_settings_install(GObjectClass *klass) {
  const fatezero_knob *knob;
  for (guint i = 0; (knob = fatezero_knob_at(i)); i++) g_object_class_install_property(klass, i + 1, property_of(knob));
}

// MARK: - Text and values

// In the notation of fatezero_set(); NULL for "not set".
static char *text_of(const fatezero_knob *knob, const GValue *value) {
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  switch (knob->kind) {
    case FATEZERO_KNOB_INTEGER: return g_strdup_printf("%d", g_value_get_int(value));
    case FATEZERO_KNOB_NUMBER: return g_strdup(g_ascii_dtostr(number, sizeof number, g_value_get_double(value)));
    case FATEZERO_KNOB_FLAG: return g_strdup(g_value_get_boolean(value) ? "true" : "false");
    case FATEZERO_KNOB_CHOICE: {
      GEnumClass *klass = g_type_class_ref(G_VALUE_TYPE(value));
      const char *word = g_enum_get_value(klass, g_value_get_enum(value))->value_nick;
      char *text = has_word(knob, word) ? g_strdup(word) : NULL;
      g_type_class_unref(klass);
      return text;
    }
    case FATEZERO_KNOB_TEXT:
    case FATEZERO_KNOB_PATH:
    case FATEZERO_KNOB_LIST: return g_value_dup_string(value);
  }
  return NULL;
}

static void set_value(const fatezero_knob *knob, const char *text, GValue *value) {
  switch (knob->kind) {
    case FATEZERO_KNOB_INTEGER: g_value_set_int(value, (int)g_ascii_strtoll(text, NULL, 10)); break;
    case FATEZERO_KNOB_NUMBER: g_value_set_double(value, g_ascii_strtod(text, NULL)); break;
    case FATEZERO_KNOB_FLAG: g_value_set_boolean(value, strcmp(text, "true") == 0); break;
    case FATEZERO_KNOB_CHOICE: g_value_set_enum(value, choice_value(G_VALUE_TYPE(value), text)); break;
    case FATEZERO_KNOB_TEXT:
    case FATEZERO_KNOB_PATH:
    case FATEZERO_KNOB_LIST: g_value_set_string(value, text); break;
  }
}

// MARK: - Lists of texts

static void replace(char **place, char *text) {
  g_free(*place);
  *place = text;
}

static char **copy(char *const *texts, guint count) {
  char **result = g_new0(char *, count);
  for (guint i = 0; i < count; i++) result[i] = g_strdup(texts[i]);
  return result;
}

static void clear(char **texts, guint count) {
  for (guint i = 0; i < count; i++) replace(&texts[i], NULL);
}

static void dispose(char **texts, guint count) {
  clear(texts, count);
  g_free(texts);
}

// MARK: - Settings

GstFateZeroSettings *gst_fatezero_settings_new(void) {
  GstFateZeroSettings *settings = g_new0(GstFateZeroSettings, 1);
  g_mutex_init(&settings->lock);
  settings->count = knob_count();
  settings->written = g_new0(char *, settings->count);
  settings->effective = g_new0(char *, settings->count);
  settings->given = g_new0(char *, settings->count);
  return settings;
}

void gst_fatezero_settings_free(GstFateZeroSettings *settings) {
  dispose(settings->written, settings->count);
  dispose(settings->effective, settings->count);
  dispose(settings->given, settings->count);
  g_mutex_clear(&settings->lock);
  g_free(settings);
}

void gst_fatezero_settings_write(GstFateZeroSettings *settings, guint property, const GValue *value) {
  g_mutex_lock(&settings->lock);
  replace(&settings->written[property - 1], text_of(fatezero_knob_at(property - 1), value));
  settings->changed = TRUE;
  g_mutex_unlock(&settings->lock);
}

void gst_fatezero_settings_read(GstFateZeroSettings *settings, guint property, GValue *value) {
  const fatezero_knob *knob = fatezero_knob_at(property - 1);
  g_mutex_lock(&settings->lock);
  const char *text = settings->written[property - 1];
  if (!text) text = settings->effective[property - 1];
  if (!text && knob->default_text[0]) text = knob->default_text;
  if (text) set_value(knob, text, value);
  g_mutex_unlock(&settings->lock);
}

gboolean gst_fatezero_settings_changed(GstFateZeroSettings *settings) {
  g_mutex_lock(&settings->lock);
  gboolean changed = settings->changed;
  g_mutex_unlock(&settings->lock);
  return changed;
}

void gst_fatezero_settings_forget(GstFateZeroSettings *settings) {
  clear(settings->given, settings->count);
  g_mutex_lock(&settings->lock);
  clear(settings->effective, settings->count);
  g_mutex_unlock(&settings->lock);
}

static fatezero_status give(GstFateZeroSettings *settings, fatezero_context *context, char *const *wanted) {
  // What is taken back goes first: a source prompt that is gone must not meet the edit with brackets that replaces it.
  for (int taking = 1; taking >= 0; taking--) {
    for (guint i = 0; i < settings->count; i++) {
      if (g_strcmp0(settings->given[i], wanted[i]) == 0 || (wanted[i] == NULL) != taking) continue;
      fatezero_status status = fatezero_set(context, fatezero_knob_at(i)->name, wanted[i]);
      if (status != FATEZERO_OK) return status;
      replace(&settings->given[i], g_strdup(wanted[i]));
    }
  }
  return fatezero_check(context);
}

fatezero_status gst_fatezero_settings_apply(GstFateZeroSettings *settings, fatezero_context *context, char **message) {
  g_mutex_lock(&settings->lock);
  char **wanted = copy(settings->written, settings->count);
  settings->changed = FALSE;
  g_mutex_unlock(&settings->lock);

  char **before = copy(settings->given, settings->count);
  fatezero_status status = give(settings, context, wanted);
  *message = NULL;
  if (status == FATEZERO_OK) {
    g_mutex_lock(&settings->lock);
    for (guint i = 0; i < settings->count; i++)
      replace(&settings->effective[i], g_strdup(fatezero_get(context, fatezero_knob_at(i)->name)));
    g_mutex_unlock(&settings->lock);
  } else {
    *message = g_strdup(fatezero_error(context));
    give(settings, context, before);
    if (status == FATEZERO_CANCELLED) {
      g_mutex_lock(&settings->lock);
      settings->changed = TRUE;
      g_mutex_unlock(&settings->lock);
    }
  }
  dispose(before, settings->count);
  dispose(wanted, settings->count);
  return status;
}

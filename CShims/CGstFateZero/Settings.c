#include "Settings.h"

#include <string.h>

// The value of a property that is not set: -1, NULL, or this word of an enumeration.
#define NOT_SET (-1)

struct GstFateZeroSettings {
  GMutex lock;
  guint count;
  // Under the lock. By knob; NULL: not set.
  char **written;
  // Under the lock. NULL: not known.
  GstStructure *effective;
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
    // A flag's numbers are those of a boolean.
    static const char *const flag[] = {"false", "true", NULL};
    const char *const *words = knob->kind == FATEZERO_KNOB_FLAG ? flag : knob->choices;
    GArray *values = g_array_new(TRUE, TRUE, sizeof(GEnumValue));
    // A starting point is taken or not; all else a model may recommend.
    gboolean is_preset = strcmp(knob->name, "preset") == 0;
    g_array_append_val(
        values, ((GEnumValue){
                    NOT_SET, is_preset ? "Not set" : "Not set: as the model recommends, else the default",
                    is_preset ? "none" : "unset"}));
    for (int i = 0; words[i]; i++) g_array_append_val(values, ((GEnumValue){i, words[i], words[i]}));
    type = g_enum_register_static(name->str, (GEnumValue *)(void *)g_array_free(values, FALSE));
    gst_type_mark_as_plugin_api(type, 0);
  }
  g_string_free(name, TRUE);
  return type;
}

static int choice_value(GType type, const char *word) {
  GEnumClass *klass = g_type_class_ref(type);
  const GEnumValue *value = g_enum_get_value_by_nick(klass, word);
  int number = value ? value->value : NOT_SET;
  g_type_class_unref(klass);
  return number;
}

static GParamSpec *property_of(const fatezero_knob *knob) {
  // Settings hold from the next window on, so that all of them may change at any time.
  GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_NAME | GST_PARAM_MUTABLE_PLAYING;
  gboolean is_number = knob->kind == FATEZERO_KNOB_INTEGER || knob->kind == FATEZERO_KNOB_NUMBER;
  char *nickname = nick(knob);
  char *blurb = knob->kind == FATEZERO_KNOB_LIST ? g_strdup_printf("%s Takes %s.", knob->blurb, knob->range)
                : is_number ? g_strdup_printf("%s -1: not set, as the model recommends.", knob->blurb)
                            : g_strdup(knob->blurb);
  GParamSpec *property = NULL;
  switch (knob->kind) {
    case FATEZERO_KNOB_INTEGER:
      property = g_param_spec_int(knob->name, nickname, blurb, NOT_SET, (int)knob->maximum, NOT_SET, flags);
      break;
    case FATEZERO_KNOB_NUMBER:
      property = g_param_spec_double(
          knob->name, nickname, blurb, NOT_SET, knob->maximum, NOT_SET, flags | GST_PARAM_CONTROLLABLE);
      break;
    case FATEZERO_KNOB_FLAG:
    case FATEZERO_KNOB_CHOICE:
      property = g_param_spec_enum(knob->name, nickname, blurb, choice_type(knob), NOT_SET, flags);
      break;
    case FATEZERO_KNOB_TEXT:
    case FATEZERO_KNOB_PATH:
    case FATEZERO_KNOB_LIST: property = g_param_spec_string(knob->name, nickname, blurb, NULL, flags); break;
  }
  g_free(nickname);
  g_free(blurb);
  return property;
}

void gst_fatezero_settings_install(GObjectClass *klass) {
  const fatezero_knob *knob;
  guint count = 0;
  while ((knob = fatezero_knob_at(count))) g_object_class_install_property(klass, ++count, property_of(knob));
  g_object_class_install_property(
      klass, count + 1,
      g_param_spec_boxed(
          "effective-settings", "Effective settings",
          "All settings as they are in effect: what was set, else what the model or the preset recommends, else the "
          "default. Known once the model is open; notified when it changes.",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

// MARK: - Text and values

// In the notation of fatezero_set(); NULL for "not set".
static char *text_of(const fatezero_knob *knob, const GValue *value) {
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  switch (knob->kind) {
    case FATEZERO_KNOB_INTEGER:
      return g_value_get_int(value) < 0 ? NULL : g_strdup_printf("%d", g_value_get_int(value));
    case FATEZERO_KNOB_NUMBER:
      return g_value_get_double(value) < 0 ? NULL
                                           : g_strdup(g_ascii_dtostr(number, sizeof number, g_value_get_double(value)));
    case FATEZERO_KNOB_FLAG:
    case FATEZERO_KNOB_CHOICE: {
      GEnumClass *klass = g_type_class_ref(G_VALUE_TYPE(value));
      const GEnumValue *word = g_enum_get_value(klass, g_value_get_enum(value));
      char *text = word && word->value != NOT_SET ? g_strdup(word->value_nick) : NULL;
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
    case FATEZERO_KNOB_INTEGER: g_value_set_int(value, text ? (int)g_ascii_strtoll(text, NULL, 10) : NOT_SET); break;
    case FATEZERO_KNOB_NUMBER: g_value_set_double(value, text ? g_ascii_strtod(text, NULL) : NOT_SET); break;
    case FATEZERO_KNOB_FLAG:
    case FATEZERO_KNOB_CHOICE: g_value_set_enum(value, text ? choice_value(G_VALUE_TYPE(value), text) : NOT_SET); break;
    case FATEZERO_KNOB_TEXT:
    case FATEZERO_KNOB_PATH:
    case FATEZERO_KNOB_LIST: g_value_set_string(value, text); break;
  }
}

// All settings of a context, by their names.
static GstStructure *effective_settings(fatezero_context *context) {
  GstStructure *structure = gst_structure_new_empty("fatezero/settings");
  const fatezero_knob *knob;
  for (guint i = 0; (knob = fatezero_knob_at(i)); i++) {
    const char *text = fatezero_get(context, knob->name);
    if (!text) continue;
    switch (knob->kind) {
      case FATEZERO_KNOB_INTEGER:
        gst_structure_set(structure, knob->name, G_TYPE_INT, (int)g_ascii_strtoll(text, NULL, 10), NULL);
        break;
      case FATEZERO_KNOB_NUMBER:
        gst_structure_set(structure, knob->name, G_TYPE_DOUBLE, g_ascii_strtod(text, NULL), NULL);
        break;
      case FATEZERO_KNOB_FLAG:
        gst_structure_set(structure, knob->name, G_TYPE_BOOLEAN, strcmp(text, "true") == 0, NULL);
        break;
      case FATEZERO_KNOB_CHOICE:
      case FATEZERO_KNOB_TEXT:
      case FATEZERO_KNOB_PATH:
      case FATEZERO_KNOB_LIST: gst_structure_set(structure, knob->name, G_TYPE_STRING, text, NULL); break;
    }
  }
  return structure;
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
  settings->given = g_new0(char *, settings->count);
  return settings;
}

void gst_fatezero_settings_free(GstFateZeroSettings *settings) {
  dispose(settings->written, settings->count);
  g_clear_pointer(&settings->effective, gst_structure_free);
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
  g_mutex_lock(&settings->lock);
  if (property > settings->count)
    gst_value_set_structure(value, settings->effective);
  else
    set_value(fatezero_knob_at(property - 1), settings->written[property - 1], value);
  g_mutex_unlock(&settings->lock);
}

gboolean gst_fatezero_settings_changed(GstFateZeroSettings *settings) {
  g_mutex_lock(&settings->lock);
  gboolean changed = settings->changed;
  g_mutex_unlock(&settings->lock);
  return changed;
}

gboolean gst_fatezero_settings_have_prompt(GstFateZeroSettings *settings) {
  gboolean found = FALSE;
  g_mutex_lock(&settings->lock);
  for (guint i = 0; i < settings->count; i++) {
    if (strcmp(fatezero_knob_at(i)->name, "edit") == 0) found = settings->written[i] && settings->written[i][0];
  }
  g_mutex_unlock(&settings->lock);
  return found;
}

// MARK: - Giving them to a context

static fatezero_status set_one(
    GstFateZeroSettings *settings, fatezero_context *context, guint index, const char *text) {
  fatezero_status status = fatezero_set(context, fatezero_knob_at(index)->name, text);
  if (status == FATEZERO_OK) replace(&settings->given[index], g_strdup(text));
  return status;
}

static fatezero_status give(GstFateZeroSettings *settings, fatezero_context *context, char *const *wanted) {
  // What is taken back goes first: a source prompt that is gone must not meet the edit with brackets that replaces it.
  for (int taking = 1; taking >= 0; taking--) {
    for (guint i = 0; i < settings->count; i++) {
      if (g_strcmp0(settings->given[i], wanted[i]) == 0 || (wanted[i] == NULL) != taking) continue;
      fatezero_status status = set_one(settings, context, i, wanted[i]);
      if (status != FATEZERO_OK) return status;
    }
  }
  return fatezero_check(context);
}

// One setting, unless the whole does not fit then: `*message` says why (to be freed).
static fatezero_status give_one(
    GstFateZeroSettings *settings, fatezero_context *context, guint index, const char *text, char **message) {
  char *before = g_strdup(settings->given[index]);
  fatezero_status status = set_one(settings, context, index, text);
  if (status == FATEZERO_OK) status = fatezero_check(context);
  if (status != FATEZERO_OK) {
    g_free(*message);
    *message = g_strdup(fatezero_error(context));
    set_one(settings, context, index, before);
  }
  g_free(before);
  return status;
}

static char **take_written(GstFateZeroSettings *settings) {
  g_mutex_lock(&settings->lock);
  char **wanted = copy(settings->written, settings->count);
  settings->changed = FALSE;
  g_mutex_unlock(&settings->lock);
  return wanted;
}

static void tell_effective(GstFateZeroSettings *settings, GObject *element, fatezero_context *context) {
  GstStructure *structure = effective_settings(context);
  g_mutex_lock(&settings->lock);
  gboolean changed = !settings->effective || !gst_structure_is_equal(settings->effective, structure);
  g_clear_pointer(&settings->effective, gst_structure_free);
  settings->effective = structure;
  g_mutex_unlock(&settings->lock);
  if (changed) g_object_notify(element, "effective-settings");
}

fatezero_status gst_fatezero_settings_start(
    GstFateZeroSettings *settings, GObject *element, fatezero_context *context, char **message) {
  clear(settings->given, settings->count);
  char **wanted = take_written(settings);
  fatezero_status status = give(settings, context, wanted);
  *message = status == FATEZERO_OK ? NULL : g_strdup(fatezero_error(context));
  if (status == FATEZERO_OK) tell_effective(settings, element, context);
  dispose(wanted, settings->count);
  return status;
}

// Every setting that fits the others; those that do not are told in `messages`, by knob.
static fatezero_status give_each(
    GstFateZeroSettings *settings, fatezero_context *context, char *const *wanted, char **messages) {
  // One may fit only once another is there.
  for (gboolean progress = TRUE; progress;) {
    progress = FALSE;
    for (guint i = 0; i < settings->count; i++) {
      if (g_strcmp0(settings->given[i], wanted[i]) == 0) continue;
      fatezero_status status = give_one(settings, context, i, wanted[i], &messages[i]);
      if (status == FATEZERO_CANCELLED) return status;
      if (status == FATEZERO_OK) progress = TRUE;
    }
  }
  return FATEZERO_OK;
}

// Properties whose value was refused say again what holds, unless another was written meanwhile.
static void take_back(GstFateZeroSettings *settings, GObject *element, char *const *wanted) {
  for (guint i = 0; i < settings->count; i++) {
    if (g_strcmp0(settings->given[i], wanted[i]) == 0) continue;
    g_mutex_lock(&settings->lock);
    gboolean back = g_strcmp0(settings->written[i], wanted[i]) == 0;
    if (back) replace(&settings->written[i], g_strdup(settings->given[i]));
    g_mutex_unlock(&settings->lock);
    if (back) g_object_notify(element, fatezero_knob_at(i)->name);
  }
}

fatezero_status gst_fatezero_settings_update(
    GstFateZeroSettings *settings, GObject *element, fatezero_context *context,
    void (*refused)(gpointer user_data, const char *message), gpointer user_data) {
  char **wanted = take_written(settings);
  char **before = copy(settings->given, settings->count);
  char **messages = g_new0(char *, settings->count);
  fatezero_status status = give(settings, context, wanted);
  if (status != FATEZERO_OK && status != FATEZERO_CANCELLED) {
    give(settings, context, before);
    status = give_each(settings, context, wanted, messages);
  }
  if (status == FATEZERO_CANCELLED) {
    give(settings, context, before);
    g_mutex_lock(&settings->lock);
    settings->changed = TRUE;
    g_mutex_unlock(&settings->lock);
  } else {
    for (guint i = 0; i < settings->count; i++) {
      if (g_strcmp0(settings->given[i], wanted[i]) != 0 && messages[i]) refused(user_data, messages[i]);
    }
    take_back(settings, element, wanted);
    tell_effective(settings, element, context);
  }
  dispose(messages, settings->count);
  dispose(before, settings->count);
  dispose(wanted, settings->count);
  return status;
}

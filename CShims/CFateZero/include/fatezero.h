/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fatezero.h: text-driven video editing (FateZero, arXiv 2303.09535).
 *
 * Thread safety: a context belongs to one thread at a time; only fatezero_cancel() may be called from any thread at
 * any time. Contexts are independent of each other and may be used in parallel, each by its own thread; only one
 * of them runs the network at a time. An inversion may be read by several contexts at once.
 *
 *     fatezero_context *context = fatezero_create();
 *     fatezero_options options;
 *     fatezero_options_default(&options, sizeof options);
 *     options.edit = "a [cat -> tiger] on the grass";
 *     if (fatezero_configure(context, &options) != FATEZERO_OK)
 *       fprintf(stderr, "%s\n", fatezero_error(context));
 *     while (read_frame(&frame)) {                          // frame: fatezero_frame with the caller's pixels
 *       if (fatezero_push(context, &frame) != FATEZERO_OK) break;            // works when a window is full
 *       while (fatezero_receive(context, &frame) == FATEZERO_OK) write_frame(&frame);
 *     }
 *     if (fatezero_drain(context) == FATEZERO_OK)                            // the last, shorter window
 *       while (fatezero_receive(context, &frame) == FATEZERO_OK) write_frame(&frame);
 *     fatezero_destroy(context);
 *
 * The library writes to no stream, never ends the process, touches no signal and keeps no global state but the threads
 * that compute, which the first edit starts. (A process that was forked after that cannot edit: FATEZERO_INTERNAL.)
 * Functions return a status; fatezero_error() is the message: what is wrong, where, and what to do.
 *
 * Structures begin with their size, as the caller knows them. A later version only adds fields at the end, whose zero
 * means "not set"; a caller that was compiled against an earlier header gets the defaults of what it does not know. A
 * caller that sets what the running library does not know gets FATEZERO_INVALID_ARGUMENT.
 */
#ifndef FATEZERO_H
#define FATEZERO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---- */

#define FATEZERO_VERSION_MAJOR 0
#define FATEZERO_VERSION_MINOR 1
#define FATEZERO_VERSION_PATCH 0

/** Version of the library that is running, as "MAJOR.MINOR.PATCH". The macros are those of the header. */
const char *fatezero_version(void);

/* ---- Status ---- */

typedef enum fatezero_status {
  FATEZERO_OK = 0,
  /** fatezero_receive(): no edited frame is ready; push more frames, or drain. */
  FATEZERO_AGAIN = 1,
  /** The work was cancelled; nothing is wrong. The frames of the window in work are gone. */
  FATEZERO_CANCELLED = 2,
  /** An argument is null, zero, too large or contradicts another. */
  FATEZERO_INVALID_ARGUMENT = 3,
  /** The call does not fit here: frames of another clip are in work, an inversion was made with other settings, or
   *  another call with this context is in progress. */
  FATEZERO_INVALID_STATE = 4,
  /** A setting or a prompt is wrong, or does not fit the model. */
  FATEZERO_SETTINGS = 5,
  /** There is no model at the place. */
  FATEZERO_MODEL_NOT_FOUND = 6,
  /** A file of the model is damaged. */
  FATEZERO_MODEL_DAMAGED = 7,
  /** A file of the model is sound but of a kind that is not implemented. */
  FATEZERO_MODEL_UNSUPPORTED = 8,
  /** A frame cannot be used: size, format or stride. */
  FATEZERO_FRAMES = 9,
  /** The work would need more memory than it may use, or than there is. */
  FATEZERO_MEMORY = 10,
  /** NaN or infinity in the network's output; the checkpoint is likely broken. */
  FATEZERO_NUMERICS = 11,
  /** An error of the library itself. */
  FATEZERO_INTERNAL = 12
} fatezero_status;

/* ---- Context ---- */

/** An editor: settings, a model, and the frames of the clip in work. */
typedef struct fatezero_context fatezero_context;

/** Makes a context. Reads no file and starts no thread. NULL if there is no memory. */
fatezero_context *fatezero_create(void);

/** Ends a context and frees all it holds; NULL is allowed. Not to be called during another call with this context. */
void fatezero_destroy(fatezero_context *context);

/**
 * The message of the last failed call with this context (one that returned neither FATEZERO_OK nor FATEZERO_AGAIN); ""
 * before. Valid until the next call with this context. Never NULL.
 */
const char *fatezero_error(const fatezero_context *context);

/* ---- Settings ---- */

typedef enum fatezero_knob_kind {
  FATEZERO_KNOB_TEXT = 0,
  FATEZERO_KNOB_PATH = 1,
  FATEZERO_KNOB_INTEGER = 2,
  FATEZERO_KNOB_NUMBER = 3,
  FATEZERO_KNOB_FLAG = 4,
  FATEZERO_KNOB_CHOICE = 5,
  /** Text in the notation that `range` describes. */
  FATEZERO_KNOB_LIST = 6
} fatezero_knob_kind;

/** One setting, described: the same words as the command's option and the GStreamer element's property. */
typedef struct fatezero_knob {
  size_t struct_size;
  /** As in fatezero_set() and the command's `--name`. */
  const char *name;
  /** Full sentences. */
  const char *blurb;
  fatezero_knob_kind kind;
  /** What is accepted, for people. */
  const char *range;
  /** The default, in the notation of fatezero_set(). */
  const char *default_text;
  /** Bounds of an integer or a number; 0 otherwise. */
  double minimum, maximum;
  /** Words of a choice, ended by NULL; NULL for other kinds. */
  const char *const *choices;
} fatezero_knob;

/** All settings there are: number `index`, or NULL beyond the last. Static storage. */
const fatezero_knob *fatezero_knob_at(size_t index);

/**
 * The settings of an edit, for programs in C. A NULL text or a negative number leaves a setting at its default: the
 * model's recommendation (fatezero.json in its folder) if it has one, else the value named here.
 */
typedef struct fatezero_options {
  /** sizeof(fatezero_options) as the caller knows it; fatezero_options_default() sets it. */
  size_t struct_size;
  /** Target prompt: the content you want; brackets give the source prompt as well: a [cat -> tiger] on the grass. */
  const char *edit;
  /** Source prompt: what the clip shows now. Without one, only self-attention is fused, over fewer steps. */
  const char *source;
  /** Negative prompt: what to avoid; empty by default. */
  const char *negative;
  /** Stable Diffusion 1.x or 2.x checkpoint: a folder in the diffusers layout, a single .safetensors or .ckpt file in
   *  the original layout, or ORG/NAME[@REVISION] in the Hugging Face cache; default $FATEZERO_MODEL, else the small
   *  model that comes with FateZero. */
  const char *model;
  /** A starting point for the other settings: style, attribute, shape or background; none by default. */
  const char *preset;
  /** Working size in pixels, WIDTHxHEIGHT; auto is the model's native area at the clip's aspect ratio. The output
   *  keeps the clip's own size. */
  const char *size;
  /** Number of denoising steps; default 50. */
  int64_t steps;
  /** Classifier-free guidance scale: how closely the edit follows its prompt; default 7.5, and 1 disables guidance. */
  double guidance_scale;
  /** How the words of the two prompts are matched: replace (by position), refine (by their longest common
   *  subsequence), or auto (the default): replace if both have the same number of words. */
  const char *cross_mode;
  /** Fraction of the steps during which words keep the source's cross-attention; single words of the edit can have
   *  their own, like 0.8,tiger=0.0:0.4; default 0.8. */
  const char *cross_replace;
  /** Fraction of the steps during which the source's self-attention preserves layout and motion, like 0.8 or 0.2:0.8;
   *  default 0.8, or 0.5 without a source prompt. */
  const char *self_replace;
  /** Whether the source's self-attention is kept only outside the mask of the edited object: on, off, or auto (the
   *  default): on if there are blend-words. */
  const char *blend_attention;
  /** Words whose cross-attention makes the mask, of the source and of the edit, like cat=tiger; default those in the
   *  edit's brackets. */
  const char *blend_words;
  /** Normalised attention above which a pixel belongs to the mask; default 0.3. */
  double blend_threshold;
  /** Whether latents outside the mask are taken from the inversion; default false. */
  int blend_latents;
  /** Scale the cross-attention of single words of the edit, like watercolor=10; none by default. */
  const char *word_weights;
  /** Where the fused attention comes from: inversion (the default), a reconstruction pass, or none (plain inversion
   *  and generation). */
  const char *attention_source;
  /** Frames whose keys and values each frame's self-attention reads, joined by +; auto (the default) is self+middle,
   *  or previous+first for a model with temporal attention. */
  const char *frame_coupling;
  /** Smallest width, in channels, of the layers whose self-attention spans frames; second is the width of the model's
   *  second level with attention (640 in Stable Diffusion 1); default 0, every layer. */
  const char *coupling_min_width;
  /** Largest number of query tokens (pixels of a layer's feature map) whose attention is recorded and fused; default
   *  1024, 32x32. */
  int64_t fusion_max_tokens;
  /** Frames edited together, as one window; default 8, and 0 is the whole clip. */
  int64_t clip_length;
  /** Numeric precision of the network: f32, bf16 (faster, half the memory, relative error about 1e-2), or auto (the
   *  default): bf16 if the processor supports it. */
  const char *precision;
  /** Number of threads; default 0: all CPUs available to this process. */
  int64_t threads;
  /** What is recorded of the source's attention: queries-keys, maps (larger), recompute (nothing; slower), or auto
   *  (the default): queries-keys, or recompute if they do not fit memory-limit. */
  const char *record;
  /** Folder where the source's recorded attention is stored during the edit, instead of in memory; none by default. */
  const char *record_dir;
  /** Memory limit for an edit, in bytes or like 8G; default 0: all available memory. */
  const char *memory_limit;
  /** What the network predicts: epsilon (the noise), v_prediction (the velocity), or auto (the default): as the model
   *  says, else v_prediction for a single-file 2.x checkpoint and epsilon otherwise. */
  const char *prediction_type;
  /** UNet to use instead of the model's own, such as one tuned on a clip: its folder or file; none by default. */
  const char *unet;
  /** Autoencoder (VAE) to use instead of the model's own: its folder or file, in the diffusers or the original
   *  layout; none by default. */
  const char *vae;
  /** LoRA, LoHa, LoKr, DoRA or IA3 files to merge into the model, each optionally followed by a colon and a weight
   *  (default 1), like style.safetensors:0.8; none by default. */
  const char *lora;
  /** Textual inversions, each with the word that stands for it in prompts, like <toy>=toy.pt, or under the names in
   *  the file if no word is given; none by default. */
  const char *embedding;
} fatezero_options;

/**
 * Sets every field to "not set" and `struct_size` to the given size.
 * @param struct_size sizeof(fatezero_options)
 */
void fatezero_options_default(fatezero_options *options, size_t struct_size);

/**
 * Replaces all settings. During a clip they hold from the next window on, which then begins a clip of its own.
 * Returns FATEZERO_SETTINGS for a value out of range; the settings are unchanged then. Texts are copied.
 */
fatezero_status fatezero_configure(fatezero_context *context, const fatezero_options *options);

/**
 * Writes one setting by its name, in the notation of the command line ("steps", "20"); NULL takes it back to its
 * default. Otherwise like fatezero_configure().
 */
fatezero_status fatezero_set(fatezero_context *context, const char *name, const char *text);

/**
 * The value of a setting in the notation of fatezero_set(). After fatezero_check() it is the one in effect: the
 * model's recommendations are folded in, and `model` is the place that was found. NULL for an unknown name. Valid
 * until the next call with this context.
 */
const char *fatezero_get(fatezero_context *context, const char *name);

/**
 * Opens the model (headers, shapes, tokenizer; no weights) and checks the settings against each other and against it,
 * the prompts' words included. Optional: the first frame does the same. Fast.
 */
fatezero_status fatezero_check(fatezero_context *context);

/* ---- Callbacks ---- */

typedef enum fatezero_phase {
  /** The weights are read and packed, before the first window. */
  FATEZERO_PHASE_LOAD = 0,
  FATEZERO_PHASE_ENCODE = 1,
  FATEZERO_PHASE_INVERT = 2,
  FATEZERO_PHASE_RECONSTRUCT = 3,
  FATEZERO_PHASE_EDIT = 4,
  FATEZERO_PHASE_DECODE = 5
} fatezero_phase;

typedef struct fatezero_progress {
  size_t struct_size;
  /** Windows of this clip before this one. */
  int64_t window;
  /** Frames in the window. */
  int64_t frames;
  fatezero_phase phase;
  /** Steps of this phase that are done, of how many (frames, when encoding and decoding). */
  int step, steps;
  /** Share of the window's work that is done, 0 to 1; 0 while loading. */
  double fraction;
  /** Estimated seconds to the end of the window; negative while unknown. */
  double seconds_left;
} fatezero_progress;

/** What was done to a window. */
typedef struct fatezero_window {
  size_t struct_size;
  /** Windows of this clip before this one. */
  int64_t window;
  int64_t frames;
  /** pts of the window's first and last frame. */
  int64_t first_pts, last_pts;
  /** Time that the window took, without loading. */
  double seconds;
  /** Most bytes that the process has held so far. */
  int64_t peak_memory;
  /** "cat -> tiger": the words that the edit exchanged, separated by commas; "" where none. */
  const char *words;
  /** Mean share of the frame under the blending mask, 0 to 1; negative where nothing is blended. */
  double mask_share;
} fatezero_window;

typedef enum fatezero_log_level { FATEZERO_LOG_INFORMATION = 0, FATEZERO_LOG_WARNING = 1 } fatezero_log_level;

/**
 * Called during a call with the context, on its thread. What they are handed is valid until they return. Functions
 * that they call with the same context do nothing but return FATEZERO_INVALID_STATE, fatezero_cancel() excepted. They
 * must return: no longjmp(), no C++ exception.
 */
typedef struct fatezero_callbacks {
  /** sizeof(fatezero_callbacks) as the caller knows it. */
  size_t struct_size;
  /** Handed to each callback. */
  void *user_data;
  /** At the begin of a window (step 0) and after each step. May be NULL. */
  void (*progress)(void *user_data, const fatezero_progress *progress);
  /** Polled several times a second; any value but 0 cancels like fatezero_cancel(). May be NULL. */
  int (*cancel)(void *user_data);
  /** A sentence for people. May be NULL. */
  void (*log)(void *user_data, fatezero_log_level level, const char *message);
  /** After a window is edited, before its frames can be received. May be NULL. */
  void (*window)(void *user_data, const fatezero_window *window);
} fatezero_callbacks;

/** Sets the callbacks; NULL for none. */
fatezero_status fatezero_set_callbacks(fatezero_context *context, const fatezero_callbacks *callbacks);

/* ---- Frames ---- */

/** 8 bits per sample, packed. Alpha is not edited: it is handed back as it came. */
typedef enum fatezero_pixel_format {
  FATEZERO_RGB24 = 0,
  FATEZERO_BGR24 = 1,
  FATEZERO_RGBA32 = 2,
  FATEZERO_BGRA32 = 3
} fatezero_pixel_format;

/** "No timestamp". */
#define FATEZERO_NO_PTS INT64_MIN

/** A picture in the caller's memory. */
typedef struct fatezero_frame {
  /** sizeof(fatezero_frame) as the caller knows it. */
  size_t struct_size;
  /** 1 to 65536 pixels. */
  int32_t width, height;
  fatezero_pixel_format format;
  /** The top row's first byte. */
  uint8_t *data;
  /** Bytes from one row to the next, at least those of a row; negative where the top row lies last. */
  ptrdiff_t stride;
  /** Timestamp in any unit; the edited frame bears the same. */
  int64_t pts;
} fatezero_frame;

/* ---- Streams: push, receive, drain ---- */

/**
 * Takes the clip's next frame (its pixels are copied). All frames of a clip have one size; their formats may differ.
 * When it completes a window of `clip-length` frames the call edits the window, which takes long; the first window
 * loads the model before. After an error of the edit the window's frames are gone, and the next frame begins a new
 * clip; a frame that is refused (FATEZERO_INVALID_ARGUMENT, FATEZERO_FRAMES) changes nothing.
 */
fatezero_status fatezero_push(fatezero_context *context, const fatezero_frame *frame);

/**
 * Hands out the next edited frame, in the order of pushing: writes the pixels to `frame->data` in the format and
 * stride that the caller has set there, and sets `frame->pts`. The frame must have the clip's size: FATEZERO_FRAMES,
 * and the edited frame stays the next. FATEZERO_AGAIN if none is ready.
 */
fatezero_status fatezero_receive(fatezero_context *context, fatezero_frame *frame);

/** Ends the clip: edits the frames that are left. The next frame begins a new clip, which may have another size. */
fatezero_status fatezero_drain(fatezero_context *context);

/** Forgets the clip in work and all edited frames, and lifts a cancellation. Settings and the loaded model stay. */
fatezero_status fatezero_reset(fatezero_context *context);

/**
 * Stops the call in progress with this context, which returns FATEZERO_CANCELLED (at SD 1.5 size within 2 seconds). So
 * does every later one that checks, takes, edits or hands out, until fatezero_reset(). From any thread, also from a
 * callback or a signal handler; NULL is allowed.
 */
void fatezero_cancel(fatezero_context *context);

/* ---- Whole clips ---- */

/**
 * Edits a clip in one call: push, drain and receive in one. No frames of another clip may be in work.
 * @param source `count` frames of one size.
 * @param result `count` frames with memory of the caller's; pixels and pts are written, window by window. May be
 *   `source` itself. After an error the frames of the windows that were done before are written, the others are as
 *   they were.
 */
fatezero_status fatezero_edit_clip(
    fatezero_context *context, const fatezero_frame *source, fatezero_frame *result, size_t count);

/** An inverted clip: its latents and its recorded attention. */
typedef struct fatezero_inversion fatezero_inversion;

/**
 * Inverts a clip as one window, whatever `clip-length` says, for any number of edits with fatezero_edit_inversion().
 * @param inversion Set to a new inversion, to be freed with fatezero_inversion_destroy(); to NULL on failure.
 */
fatezero_status fatezero_invert(
    fatezero_context *context, const fatezero_frame *source, size_t count, fatezero_inversion **inversion);

/**
 * Edits an inverted clip with the context's present settings. Those that the inversion depends on (model, source,
 * size, steps, frame-coupling, coupling-min-width, precision, attention-source) must be what they were:
 * FATEZERO_INVALID_STATE. Attention that the inversion did not record is computed again, one more pass of the network
 * per step.
 * @param result `count` frames, as many as were inverted, with memory of the caller's.
 */
fatezero_status fatezero_edit_inversion(
    fatezero_context *context, const fatezero_inversion *inversion, fatezero_frame *result, size_t count);

/** Frees an inversion; NULL is allowed. It may outlive the context that made it. */
void fatezero_inversion_destroy(fatezero_inversion *inversion);

#ifdef __cplusplus
}
#endif

#endif

#pragma once
#include "releases.h"
#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/motion_vector.h>
#include <libavutil/opt.h>
#include <libavutil/parseutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdarg.h>

// Macros that Swift's importer does not evaluate.
static const int FATEZERO_AVERROR_EOF = AVERROR_EOF;
static const int FATEZERO_AVERROR_EXIT = AVERROR_EXIT;
static const int FATEZERO_AVERROR_INVALIDDATA = AVERROR_INVALIDDATA;
static const int FATEZERO_AVERROR_OPTION_NOT_FOUND = AVERROR_OPTION_NOT_FOUND;
static const int FATEZERO_AVERROR_DEMUXER_NOT_FOUND = AVERROR_DEMUXER_NOT_FOUND;
static const int FATEZERO_AVERROR_MUXER_NOT_FOUND = AVERROR_MUXER_NOT_FOUND;
static const int FATEZERO_AVERROR_DECODER_NOT_FOUND = AVERROR_DECODER_NOT_FOUND;
static const int FATEZERO_AVERROR_ENCODER_NOT_FOUND = AVERROR_ENCODER_NOT_FOUND;
static const int FATEZERO_AVERROR_FILTER_NOT_FOUND = AVERROR_FILTER_NOT_FOUND;
static const int FATEZERO_AVERROR_PROTOCOL_NOT_FOUND = AVERROR_PROTOCOL_NOT_FOUND;
static const int64_t FATEZERO_AV_NOPTS_VALUE = AV_NOPTS_VALUE;

// Takes one finished line of libav's log (defined in LibAVLog.swift).
void fatezero_media_log_line(int level, const char *line);

// The log callback is variadic, which Swift cannot be: the line is formatted here.
static inline void fatezero_format_log_line(void *object, int level, const char *format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  char line[1024];
  int prefix = 0;
  av_log_format_line2(object, level, format, arguments, line, sizeof line, &prefix);
  fatezero_media_log_line(level, line);
}

static inline void fatezero_capture_log(void) { av_log_set_callback(fatezero_format_log_line); }

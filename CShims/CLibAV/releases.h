// One interface to the libraries of FFmpeg 5.1 to 8. Every condition on the release stands here, and nowhere else.
#pragma once
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <string.h>

// MARK: Frames

/// How long a frame is shown, in its time base; 0 where that is not known. `AVFrame.duration` since FFmpeg 6.0.
static inline int64_t fatezero_frame_duration(const AVFrame *frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
  return frame->duration;
#else
  return frame->pkt_duration;
#endif
}

static inline void fatezero_set_frame_duration(AVFrame *frame, int64_t duration) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
  frame->duration = duration;
#else
  frame->pkt_duration = duration;
#endif
}

/// Made of two fields of different times. `AVFrame.flags` since FFmpeg 6.1.
static inline _Bool fatezero_is_interlaced(const AVFrame *frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  return (frame->flags & AV_FRAME_FLAG_INTERLACED) != 0;
#else
  return frame->interlaced_frame != 0;
#endif
}

static inline _Bool fatezero_is_top_field_first(const AVFrame *frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  return (frame->flags & AV_FRAME_FLAG_TOP_FIELD_FIRST) != 0;
#else
  return frame->top_field_first != 0;
#endif
}

static inline void fatezero_mark_fields(AVFrame *frame, _Bool is_top_field_first) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  frame->flags |= AV_FRAME_FLAG_INTERLACED | (is_top_field_first ? AV_FRAME_FLAG_TOP_FIELD_FIRST : 0);
#else
  frame->interlaced_frame = 1;
  frame->top_field_first = is_top_field_first;
#endif
}

// MARK: Input and output

/// `avio_alloc_context`. What a writer is handed is constant since FFmpeg 7.0.
static inline AVIOContext *fatezero_allocate_io(
    unsigned char *buffer, int size, int writes, void *opaque, int (*read)(void *opaque, uint8_t *buffer, int size),
    int (*write)(void *opaque, const uint8_t *buffer, int size),
    int64_t (*seek)(void *opaque, int64_t offset, int whence)) {
#if LIBAVFORMAT_VERSION_MAJOR >= 61
  return avio_alloc_context(buffer, size, writes, opaque, read, write, seek);
#else
  return avio_alloc_context(buffer, size, writes, opaque, read, (int (*)(void *, uint8_t *, int))write, seek);
#endif
}

// MARK: Side data of streams: in the codec's parameters since FFmpeg 6.1

#define FATEZERO_SIDE_DATA_IN_PARAMETERS \
  (LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100) && LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100))

/// NULL where the stream has none of that type.
static inline const uint8_t *fatezero_stream_side_data(
    const AVStream *stream, enum AVPacketSideDataType type, size_t *size) {
#if FATEZERO_SIDE_DATA_IN_PARAMETERS
  const AVCodecParameters *parameters = stream->codecpar;
  const AVPacketSideData *found =
      av_packet_side_data_get(parameters->coded_side_data, parameters->nb_coded_side_data, type);
  *size = found ? found->size : 0;
  return found ? found->data : NULL;
#else
  return av_stream_get_side_data(stream, type, size);
#endif
}

/// Bytes to be filled, which the stream owns; NULL where there is no memory.
static inline uint8_t *fatezero_add_stream_side_data(AVStream *stream, enum AVPacketSideDataType type, size_t size) {
#if FATEZERO_SIDE_DATA_IN_PARAMETERS
  AVCodecParameters *parameters = stream->codecpar;
  AVPacketSideData *added =
      av_packet_side_data_new(&parameters->coded_side_data, &parameters->nb_coded_side_data, type, size, 0);
  return added ? added->data : NULL;
#else
  return av_stream_new_side_data(stream, type, size);
#endif
}

/// All side data of a stream whose codec's parameters were copied already.
static inline void fatezero_copy_stream_side_data(const AVStream *source, AVStream *target) {
#if FATEZERO_SIDE_DATA_IN_PARAMETERS
  (void)source, (void)target;  // came with the parameters
#else
  for (int i = 0; i < source->nb_side_data; i++) {
    const AVPacketSideData *data = &source->side_data[i];
    uint8_t *bytes = av_stream_new_side_data(target, data->type, data->size);
    if (bytes) memcpy(bytes, data->data, data->size);
  }
#endif
}

// MARK: What an encoder takes: asked by a function since FFmpeg 7.1. NULL where it takes anything.

#define FATEZERO_ASKS_ENCODERS (LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100))

#if FATEZERO_ASKS_ENCODERS
static inline const void *fatezero_supported(const AVCodec *encoder, enum AVCodecConfig what) {
  const void *list = NULL;
  return avcodec_get_supported_config(NULL, encoder, what, 0, &list, NULL) < 0 ? NULL : list;
}
#endif

/// Ended by AV_PIX_FMT_NONE.
static inline const enum AVPixelFormat *fatezero_pixel_formats(const AVCodec *encoder) {
#if FATEZERO_ASKS_ENCODERS
  return fatezero_supported(encoder, AV_CODEC_CONFIG_PIX_FORMAT);
#else
  return encoder->pix_fmts;
#endif
}

/// Ended by AV_SAMPLE_FMT_NONE.
static inline const enum AVSampleFormat *fatezero_sample_formats(const AVCodec *encoder) {
#if FATEZERO_ASKS_ENCODERS
  return fatezero_supported(encoder, AV_CODEC_CONFIG_SAMPLE_FORMAT);
#else
  return encoder->sample_fmts;
#endif
}

/// Hertz; ended by 0.
static inline const int *fatezero_sample_rates(const AVCodec *encoder) {
#if FATEZERO_ASKS_ENCODERS
  return fatezero_supported(encoder, AV_CODEC_CONFIG_SAMPLE_RATE);
#else
  return encoder->supported_samplerates;
#endif
}

/// Ended by a layout of no channels.
static inline const AVChannelLayout *fatezero_channel_layouts(const AVCodec *encoder) {
#if FATEZERO_ASKS_ENCODERS
  return fatezero_supported(encoder, AV_CODEC_CONFIG_CHANNEL_LAYOUT);
#else
  return encoder->ch_layouts;
#endif
}

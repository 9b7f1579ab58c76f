// Depthwise convolution and its gradients on CPU: images [b, h, w, c], kernels [k, k, c].
//
// XLA has no good one there. Here an image is copied, a line of channels at a time, into a scratch
// buffer with zero columns beside it, where all pixels that a kernel meets lie close together; the
// sums then stay in registers. Rows of padding are skipped. The kernel is one of several, chosen
// when the program runs: arrays of their own, or the centres of one that may have more channels.
//
// Results do not depend on the number of threads: work is divided by images and channels alone.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "lines.h"
#include "parallel.h"

namespace ffi = xla::ffi;
using Sizes = ffi::Span<const int64_t>;

namespace {

constexpr int kSums = 8;  // vectors of sums that are kept in registers
constexpr int kSlices = 16;  // of the batch, summed apart in the gradient of a kernel

template <typename T>
struct Images {
  T* data;
  int64_t count, height, width, channels;
  T* At(int64_t image, int64_t row, int64_t column, int64_t channel) const {
    return data + ((image * height + row) * width + column) * channels + channel;
  }
};

// One image's line of channels with `margin` columns of zeros before it, `columns` in all.
template <typename T, int L>
void Pack(const Images<const T>& from, int64_t image, int64_t channel, int valid, int64_t margin,
          int64_t columns, T* scratch) {
  const Line<T, L> zero = {};
  for (int64_t row = 0; row < from.height; ++row, scratch += columns * L) {
    for (int64_t x = 0; x < margin; ++x) zero.Store(scratch + x * L);
    const T* pixel = from.At(image, row, 0, channel);
    for (int64_t x = 0; x < from.width; ++x, pixel += from.channels)
      Line<T, L>::LoadSome(pixel, valid).Store(scratch + (margin + x) * L);
    for (int64_t x = margin + from.width; x < columns; ++x) zero.Store(scratch + x * L);
  }
}

// A pixel that a sum reads, from its own place on, and the weight that it is multiplied with.
struct Tap {
  int64_t place, weight;  // in numbers of the scratch buffer and of the packed kernel
};

// Outputs of `row`, every `spread`-th column from `column` on: sums over taps of scratch * weight.
// Neighbouring outputs read places `step` numbers apart. `base` is where the first one reads.
template <typename T, int L>
void SumRow(const T* base, int64_t step, const Tap* taps, int64_t count, const T* weights,
            const Images<T>& to, int64_t image, int64_t row, int64_t column, int64_t spread,
            int64_t channel, int valid) {
  constexpr int kTile = std::max(1, kSums / Line<T, L>::kVectors);
  for (; column < to.width; column += kTile * spread, base += kTile * step) {
    Line<T, L> sums[kTile] = {};
    for (int64_t n = 0; n < count; ++n) {
      const Line<T, L> weight = Line<T, L>::Load(weights + taps[n].weight);
      const T* from = base + taps[n].place;
      for (int t = 0; t < kTile; ++t)
        sums[t].AddProduct(Line<T, L>::Load(from + t * step), weight);
    }
    for (int t = 0; t < kTile && column + t * spread < to.width; ++t)
      sums[t].StoreSome(to.At(image, row, column + t * spread, channel), valid);
  }
}

// The size x size weights in the centre of an array of whole x whole, of its leading channels.
template <typename T>
struct Kernel {
  T* data;
  int64_t size, whole, channels;
  T* At(int64_t i, int64_t j, int64_t channel) const {
    const int64_t margin = (whole - size) / 2;
    return data + ((margin + i) * whole + margin + j) * channels + channel;
  }
};

template <typename T, int L>
void PackKernel(const Kernel<const T>& kernel, int64_t channel, int valid, T* packed) {
  for (int64_t i = 0; i < kernel.size; ++i)
    for (int64_t j = 0; j < kernel.size; ++j, packed += L)
      Line<T, L>::LoadSome(kernel.At(i, j, channel), valid).Store(packed);
}

// What a thread needs for one line of channels of one image.
template <typename T>
T* Scratch(int which, int64_t size) {
  static thread_local std::vector<T> buffers[3];
  std::vector<T>& buffer = buffers[which];
  if (static_cast<int64_t>(buffer.size()) < size + 64) buffer.resize(size + 64);
  auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
  return reinterpret_cast<T*>((address + 63) / 64 * 64);
}

// Calls each(image, channel, valid) for every line of L channels of every image.
template <int L>
void ForEachLine(ffi::ThreadPool& pool, int64_t images, int64_t channels,
                 const std::function<void(int64_t, int64_t, int)>& each) {
  const int64_t lines = (channels + L - 1) / L;
  Parallel(pool, images * lines, [&](int64_t i) {
    const int64_t channel = i % lines * L;
    each(i / lines, channel, static_cast<int>(std::min<int64_t>(L, channels - channel)));
  });
}

// Calls each(pixels, weights, image, channel, valid) for every line, packed with its kernel; the
// columns of zeros before it are as many as the kernel reaches over an edge.
template <typename T, int L, typename Each>
void ForEachPacked(ffi::ThreadPool& pool, const Images<const T>& images, const Kernel<const T>& kernel,
                   int64_t columns, const Each& each) {
  const int64_t k = kernel.size;
  ForEachLine<L>(pool, images.count, images.channels,
                 [&](int64_t image, int64_t channel, int valid) {
    T* pixels = Scratch<T>(0, images.height * columns * L);
    T* weights = Scratch<T>(1, k * k * L);
    Pack<T, L>(images, image, channel, valid, k / 2, columns, pixels);
    PackKernel<T, L>(kernel, channel, valid, weights);
    each(pixels, weights, image, channel, valid);
  });
}

// The number of outputs whose sums are in registers at a time.
template <typename T, int L>
constexpr int kTile = std::max(1, kSums / Line<T, L>::kVectors);

template <typename T, int L>
void Convolve(ffi::ThreadPool& pool, const Images<const T>& x, const Kernel<const T>& kernel,
              int64_t stride, const Images<T>& y) {
  const int64_t k = kernel.size, margin = k / 2;
  const int64_t columns = std::max((RoundUp(y.width, kTile<T, L>) - 1) * stride + k,
                                   margin + x.width);
  std::vector<Tap> taps;
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j)
      taps.push_back({((i - margin) * columns + j) * L, (i * k + j) * L});
  ForEachPacked<T, L>(pool, x, kernel, columns, [&](const T* pixels, const T* weights,
                                                    int64_t image, int64_t channel, int valid) {
    for (int64_t row = 0; row < y.height; ++row) {
      const int64_t middle = row * stride;
      const int64_t first = std::max<int64_t>(0, margin - middle);
      const int64_t last = std::min<int64_t>(k, x.height + margin - middle);
      SumRow<T, L>(pixels + middle * columns * L, stride * L, taps.data() + first * k,
                   (last - first) * k, weights, y, image, row, 0, 1, channel, valid);
    }
  });
}

// The gradient of the input: what a pixel was multiplied with depends on where it lies between the
// strides, so that rows and columns fall into as many classes as the stride, each with its taps.
template <typename T, int L>
void PullInput(ffi::ThreadPool& pool, const Images<const T>& dy, const Kernel<const T>& kernel,
               int64_t stride, const Images<T>& dx) {
  const int64_t k = kernel.size, margin = k / 2;
  const int64_t columns = RoundUp(dy.width, kTile<T, L>) + 2 * margin;
  std::vector<std::vector<Tap>> taps(stride * stride);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      // Columns of class c read dy at (c + margin - j) / stride, where that is whole.
      const int64_t c = (j + (stride - 1) * margin) % stride;
      const int64_t place = (c + margin - j + k * stride) / stride - k;
      taps[i % stride * stride + c].push_back(
          {(margin + place - i / stride * columns) * L, (i * k + j) * L});
    }
  ForEachPacked<T, L>(pool, dy, kernel, columns, [&](const T* pixels, const T* weights,
                                                     int64_t image, int64_t channel, int valid) {
    for (int64_t row = 0; row < dx.height; ++row) {
      const int64_t row_class = (row + margin) % stride, lowest = (row + margin) / stride;
      const int64_t rows = (k - row_class + stride - 1) / stride;  // of the kernel
      const int64_t first = std::max<int64_t>(0, lowest - dy.height + 1);
      const int64_t last = std::min<int64_t>(rows, lowest + 1);
      for (int64_t c = 0; c < stride; ++c) {
        const std::vector<Tap>& own = taps[row_class * stride + c];
        const int64_t in_row = rows ? own.size() / rows : 0;
        SumRow<T, L>(pixels + lowest * columns * L, L, own.data() + first * in_row,
                     std::max<int64_t>(0, last - first) * in_row, weights, dx, image, row, c,
                     stride, channel, valid);
      }
    }
  });
}

// Adds to sums[0 ... taps - 1] the products of a row of dy and of what `taps` <= G neighbouring
// columns of the kernel met.
template <typename T, int L, int G>
void AddProducts(int64_t taps, const T* x, int64_t step, const T* dy, int64_t width, T* sums) {
  if constexpr (G > 1) {
    if (taps < G) return AddProducts<T, L, G - 1>(taps, x, step, dy, width, sums);
  }
  Line<T, L> own[G];
  for (int g = 0; g < G; ++g) own[g] = Line<T, L>::Load(sums + g * L);
  for (int64_t v = 0; v < width; ++v, x += step, dy += L) {
    const Line<T, L> cotangent = Line<T, L>::Load(dy);
    for (int g = 0; g < G; ++g) own[g].AddProduct(Line<T, L>::Load(x + g * L), cotangent);
  }
  for (int g = 0; g < G; ++g) own[g].Store(sums + g * L);
}

// The gradient of the kernel, summed in slices of the batch and then over the slices.
template <typename T, int L>
void PullKernel(ffi::ThreadPool& pool, const Images<const T>& x, const Images<const T>& dy,
                int64_t stride, const Kernel<T>& gradient) {
  const int64_t k = gradient.size, margin = k / 2;
  const int64_t channels = x.channels, numbers = k * k * channels;
  const int64_t columns = std::max((dy.width - 1) * stride + k, margin + x.width);
  const int64_t slices = std::min<int64_t>(kSlices, x.count);
  std::vector<T> partial(slices * numbers);
  ForEachLine<L>(pool, slices, channels, [&](int64_t slice, int64_t channel, int valid) {
    T* pixels = Scratch<T>(0, x.height * columns * L);
    T* cotangents = Scratch<T>(1, dy.height * dy.width * L);
    T* sums = Scratch<T>(2, k * k * L);
    std::fill(sums, sums + k * k * L, T(0));
    for (int64_t image = slice * x.count / slices; image < (slice + 1) * x.count / slices;
         ++image) {
      Pack<T, L>(x, image, channel, valid, margin, columns, pixels);
      Pack<T, L>(dy, image, channel, valid, 0, dy.width, cotangents);
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < k; j += kTile<T, L>)
          for (int64_t row = 0; row < dy.height; ++row) {
            const int64_t read = row * stride + i - margin;
            if (read < 0 || read >= x.height) continue;
            AddProducts<T, L, kTile<T, L>>(k - j, pixels + (read * columns + j) * L, stride * L,
                                           cotangents + row * dy.width * L, dy.width,
                                           sums + (i * k + j) * L);
          }
    }
    for (int64_t n = 0; n < k * k; ++n)
      Line<T, L>::Load(sums + n * L).StoreSome(
          partial.data() + slice * numbers + n * channels + channel, valid);
  });
  for (int64_t n = 0; n < k * k; ++n) {
    T* to = gradient.At(n / k, n % k, 0);
    const T* from = partial.data() + n * channels;
    std::copy(from, from + channels, to);
    for (int64_t slice = 1; slice < slices; ++slice)
      for (int64_t c = 0; c < channels; ++c) to[c] += from[slice * numbers + c];
  }
}

template <typename T>
Images<T> AsImages(const ffi::AnyBuffer& buffer) {
  auto shape = buffer.dimensions();
  return {reinterpret_cast<T*>(buffer.untyped_data()), shape[0], shape[1], shape[2], shape[3]};
}

template <typename T>
Kernel<T> AsKernel(const ffi::AnyBuffer& buffer, int64_t size) {
  auto shape = buffer.dimensions();
  return {reinterpret_cast<T*>(buffer.untyped_data()), size, shape[0], shape[2]};
}

// The size that is chosen, and which of the arrays holds its kernel.
struct Chosen {
  int64_t size;
  size_t array;
  Chosen(const ffi::Buffer<ffi::S32>& choice, Sizes sizes, size_t arrays) {
    // Out of range it is the nearest, as with lax.switch.
    const int32_t position = std::clamp<int32_t>(*choice.typed_data(), 0, sizes.size() - 1);
    size = sizes[position];
    array = arrays == 1 ? 0 : position;
  }
};

template <typename T>
void ForwardOf(ffi::ThreadPool& pool, int64_t stride, int64_t size, const ffi::AnyBuffer& x,
               const ffi::AnyBuffer& kernel, const ffi::AnyBuffer& y) {
  const auto from = AsImages<const T>(x);
  auto run = Wide(from.channels) ? Convolve<T, 16> : Convolve<T, 8>;
  run(pool, from, AsKernel<const T>(kernel, size), stride, AsImages<T>(y));
}

template <typename T>
void PullbackOf(ffi::ThreadPool& pool, int64_t stride, int64_t size, const ffi::AnyBuffer& x,
                const ffi::AnyBuffer& dy, const ffi::AnyBuffer& kernel, const ffi::AnyBuffer& dx,
                const ffi::AnyBuffer& dkernel) {
  const auto from = AsImages<const T>(x), cotangent = AsImages<const T>(dy);
  auto input = Wide(from.channels) ? PullInput<T, 16> : PullInput<T, 8>;
  auto weights = Wide(from.channels) ? PullKernel<T, 16> : PullKernel<T, 8>;
  input(pool, cotangent, AsKernel<const T>(kernel, size), stride, AsImages<T>(dx));
  weights(pool, from, cotangent, stride, AsKernel<T>(dkernel, size));
}

const char kNumbers[] = "depthwise convolution of neither float32 nor float64";

ffi::Error Forward(ffi::ThreadPool pool, int64_t stride, Sizes sizes, ffi::AnyBuffer x,
                   ffi::Buffer<ffi::S32> choice, ffi::RemainingArgs kernels,
                   ffi::Result<ffi::AnyBuffer> y) {
  const Chosen chosen(choice, sizes, kernels.size());
  auto kernel = kernels.get<ffi::AnyBuffer>(chosen.array);
  if (!kernel.has_value()) return kernel.error();
  if (x.element_type() == ffi::F32) {
    ForwardOf<float>(pool, stride, chosen.size, x, *kernel, *y);
  } else if (x.element_type() == ffi::F64) {
    ForwardOf<double>(pool, stride, chosen.size, x, *kernel, *y);
  } else {
    return ffi::Error::InvalidArgument(kNumbers);
  }
  return ffi::Error::Success();
}

ffi::Error Pullback(ffi::ThreadPool pool, int64_t stride, Sizes sizes, ffi::AnyBuffer x,
                    ffi::AnyBuffer dy, ffi::Buffer<ffi::S32> choice, ffi::RemainingArgs kernels,
                    ffi::Result<ffi::AnyBuffer> dx, ffi::RemainingRets dkernels) {
  const Chosen chosen(choice, sizes, kernels.size());
  for (size_t i = 0; i < dkernels.size(); ++i) {
    auto dkernel = dkernels.get<ffi::AnyBuffer>(i);
    if (!dkernel.has_value()) return dkernel.error();
    std::memset((*dkernel)->untyped_data(), 0, (*dkernel)->size_bytes());
  }
  auto kernel = kernels.get<ffi::AnyBuffer>(chosen.array);
  if (!kernel.has_value()) return kernel.error();
  auto dkernel = *dkernels.get<ffi::AnyBuffer>(chosen.array);
  if (x.element_type() == ffi::F32) {
    PullbackOf<float>(pool, stride, chosen.size, x, dy, *kernel, *dx, *dkernel);
  } else if (x.element_type() == ffi::F64) {
    PullbackOf<double>(pool, stride, chosen.size, x, dy, *kernel, *dx, *dkernel);
  } else {
    return ffi::Error::InvalidArgument(kNumbers);
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(depthwise, Forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Attr<int64_t>("stride")
                                  .Attr<Sizes>("sizes")
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(depthwise_pullback, Pullback,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Attr<int64_t>("stride")
                                  .Attr<Sizes>("sizes")
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .RemainingRets());

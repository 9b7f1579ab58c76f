// Sums that batch norm takes over all rows of a matrix [rows, channels], in one pass each.
//
// XLA reads the matrix once for the mean and once more for the variance, and writes in between what
// it sums up. Here all sums of a row are made when it is read.
//
// Results do not depend on the number of threads: rows are summed in slices of a fixed size, and
// the slices one after the other, in double.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lines.h"
#include "parallel.h"

namespace ffi = xla::ffi;

namespace {

constexpr int64_t kSliceNumbers = 1 << 15;  // numbers of the matrix that are summed in float
constexpr int kGroup = 4;  // lines whose sums are in registers at a time

template <typename T>
struct Matrix {
  const T* data;
  int64_t rows, channels;
  const T* At(int64_t row, int64_t channel) const { return data + row * channels + channel; }
};

template <typename T>
Matrix<T> AsMatrix(const ffi::AnyBuffer& buffer) {
  auto shape = buffer.dimensions();
  return {reinterpret_cast<const T*>(buffer.untyped_data()), shape[0], shape[1]};
}

template <typename T>
const T* Numbers(const ffi::AnyBuffer& buffer) {
  return reinterpret_cast<const T*>(buffer.untyped_data());
}

// Calls add(first row, last row, channel, valid, sums) for lines of every slice, `sums` being two
// lines of zeros for each of kGroup lines of channels; returns the totals, [2, channels].
template <typename T, int L, typename Add>
std::vector<double> TwoSums(ffi::ThreadPool& pool, int64_t rows, int64_t channels, const Add& add) {
  const int64_t slice_rows = std::max<int64_t>(1, kSliceNumbers / channels);
  const int64_t slices = (rows + slice_rows - 1) / slice_rows, wide = RoundUp(channels, L);
  std::vector<T> partial(slices * 2 * wide);
  Parallel(pool, slices, [&](int64_t slice) {
    const int64_t first = slice * slice_rows, last = std::min(rows, first + slice_rows);
    T* own = partial.data() + slice * 2 * wide;
    for (int64_t channel = 0; channel < channels; channel += L)
      add(first, last, channel, static_cast<int>(std::min<int64_t>(L, channels - channel)),
          own + channel, own + wide + channel);
  });
  std::vector<double> totals(2 * channels);
  for (int64_t slice = 0; slice < slices; ++slice)
    for (int64_t sum = 0; sum < 2; ++sum)
      for (int64_t c = 0; c < channels; ++c)
        totals[sum * channels + c] += partial[(slice * 2 + sum) * wide + c];
  return totals;
}

// The mean and the biased variance, about the first row: of numbers far from zero that vary little,
// squares alone would keep no digit of the variance.
template <typename T, int L>
void MomentsOf(ffi::ThreadPool& pool, const Matrix<T>& x, T* mean, T* variance) {
  using Own = Line<T, L>;
  auto totals = TwoSums<T, L>(pool, x.rows, x.channels, [&](
      int64_t first, int64_t last, int64_t channel, int valid, T* sums, T* squares) {
    const Own middle = Own::LoadSome(x.At(0, channel), valid);
    Own sum[kGroup] = {}, square[kGroup] = {};
    int64_t row = first;
    for (; row + kGroup <= last; row += kGroup)
      for (int g = 0; g < kGroup; ++g) {
        const Own apart = Own::LoadSome(x.At(row + g, channel), valid).Minus(middle);
        sum[g].Add(apart);
        square[g].AddProduct(apart, apart);
      }
    for (; row < last; ++row) {
      const Own apart = Own::LoadSome(x.At(row, channel), valid).Minus(middle);
      sum[0].Add(apart);
      square[0].AddProduct(apart, apart);
    }
    for (int g = 1; g < kGroup; ++g) {
      sum[0].Add(sum[g]);
      square[0].Add(square[g]);
    }
    sum[0].Store(sums);
    square[0].Store(squares);
  });
  for (int64_t c = 0; c < x.channels; ++c) {
    const double apart = totals[c] / x.rows;
    mean[c] = *x.At(0, c) + apart;
    variance[c] = std::max(0.0, totals[x.channels + c] / x.rows - apart * apart);
  }
}

// The sums over rows of dy, and of dy times the normalised x.
template <typename T, int L>
void NormSumsOf(ffi::ThreadPool& pool, const Matrix<T>& x, const Matrix<T>& dy, const T* mean,
                const T* inverse, T* plain, T* scaled) {
  using Own = Line<T, L>;
  auto totals = TwoSums<T, L>(pool, x.rows, x.channels, [&](
      int64_t first, int64_t last, int64_t channel, int valid, T* sums, T* products) {
    const Own middle = Own::LoadSome(mean + channel, valid);
    Own sum[kGroup] = {}, product[kGroup] = {};
    int64_t row = first;
    for (; row + kGroup <= last; row += kGroup)
      for (int g = 0; g < kGroup; ++g) {
        const Own cotangent = Own::LoadSome(dy.At(row + g, channel), valid);
        sum[g].Add(cotangent);
        product[g].AddProduct(cotangent,
                              Own::LoadSome(x.At(row + g, channel), valid).Minus(middle));
      }
    for (; row < last; ++row) {
      const Own cotangent = Own::LoadSome(dy.At(row, channel), valid);
      sum[0].Add(cotangent);
      product[0].AddProduct(cotangent, Own::LoadSome(x.At(row, channel), valid).Minus(middle));
    }
    for (int g = 1; g < kGroup; ++g) {
      sum[0].Add(sum[g]);
      product[0].Add(product[g]);
    }
    sum[0].Store(sums);
    product[0].Store(products);
  });
  for (int64_t c = 0; c < x.channels; ++c) {
    plain[c] = totals[c];
    scaled[c] = totals[x.channels + c] * inverse[c];
  }
}

// Calls run(zero) with a zero of the type of the numbers.
template <typename Run>
ffi::Error Typed(const ffi::AnyBuffer& x, const Run& run) {
  if (x.element_type() == ffi::F32) {
    run(0.0f);
  } else if (x.element_type() == ffi::F64) {
    run(0.0);
  } else {
    return ffi::Error::InvalidArgument("sums of neither float32 nor float64");
  }
  return ffi::Error::Success();
}

ffi::Error Moments(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> mean,
                   ffi::Result<ffi::AnyBuffer> variance) {
  return Typed(x, [&](auto zero) {
    using T = decltype(zero);
    const auto matrix = AsMatrix<T>(x);
    auto run = Wide(matrix.channels) ? MomentsOf<T, 16> : MomentsOf<T, 8>;
    run(pool, matrix, const_cast<T*>(Numbers<T>(*mean)), const_cast<T*>(Numbers<T>(*variance)));
  });
}

ffi::Error NormSums(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer dy, ffi::AnyBuffer mean,
                    ffi::AnyBuffer inverse, ffi::Result<ffi::AnyBuffer> plain,
                    ffi::Result<ffi::AnyBuffer> scaled) {
  return Typed(x, [&](auto zero) {
    using T = decltype(zero);
    const auto matrix = AsMatrix<T>(x);
    auto run = Wide(matrix.channels) ? NormSumsOf<T, 16> : NormSumsOf<T, 8>;
    run(pool, matrix, AsMatrix<T>(dy), Numbers<T>(mean), Numbers<T>(inverse),
        const_cast<T*>(Numbers<T>(*plain)), const_cast<T*>(Numbers<T>(*scaled)));
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(moments, Moments,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(norm_sums, NormSums,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

// A line of neighbouring channels, as the vectors that the processor has.
#pragma once

#include <algorithm>
#include <cstdint>

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <typename T, int L>
struct Line {
  static constexpr int kBytes = std::min<int>(kVectorBytes, L * sizeof(T));
  static constexpr int kLanes = kBytes / sizeof(T);
  static constexpr int kVectors = L / kLanes;
  typedef T Vector __attribute__((vector_size(kBytes)));
  typedef T Unaligned __attribute__((vector_size(kBytes), aligned(sizeof(T)), may_alias));
  Vector part[kVectors];

  static Line Load(const T* from) {
    Line line;
    for (int n = 0; n < kVectors; ++n)
      line.part[n] = *reinterpret_cast<const Unaligned*>(from + n * kLanes);
    return line;
  }
  void Store(T* to) const {
    for (int n = 0; n < kVectors; ++n)
      *reinterpret_cast<Unaligned*>(to + n * kLanes) = part[n];
  }
  // The first `valid` channels from memory, zeros behind them; the second the other way.
  static Line LoadSome(const T* from, int valid) {
    if (valid == L) return Load(from);
    alignas(64) T whole[L] = {};
    std::copy(from, from + valid, whole);
    return Load(whole);
  }
  void StoreSome(T* to, int valid) const {
    if (valid == L) return Store(to);
    alignas(64) T whole[L];
    Store(whole);
    std::copy(whole, whole + valid, to);
  }
  Line Minus(const Line& other) const {
    Line line;
    for (int n = 0; n < kVectors; ++n) line.part[n] = part[n] - other.part[n];
    return line;
  }
  void Add(const Line& a) {
    for (int n = 0; n < kVectors; ++n) part[n] += a.part[n];
  }
  void AddProduct(const Line& a, const Line& b) {
    for (int n = 0; n < kVectors; ++n) part[n] += a.part[n] * b.part[n];
  }
};

inline int64_t RoundUp(int64_t number, int64_t multiple) {
  return (number + multiple - 1) / multiple * multiple;
}

// Whether lines of 16 channels waste no more than lines of 8 do.
inline bool Wide(int64_t channels) { return RoundUp(channels, 16) == RoundUp(channels, 8); }

}  // namespace

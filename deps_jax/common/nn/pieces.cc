// Many small arrays copied by one call: pieces of a vector, leading corners of arrays, and back.
//
// XLA makes a kernel of each copy, and a supernet has thousands: most of what it has to compile.

#include <algorithm>
#include <cassert>  // which ffi.h needs and does not include
#include <cstdint>
#include <cstring>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

using Shape = ffi::Span<const int64_t>;

int64_t Bytes(const ffi::AnyBuffer& buffer) {
  return ffi::ByteWidth(buffer.element_type());
}

// Copies the leading corner that two row-major arrays have in common; `axis` counts from outside.
void CopyCorner(const char* from, Shape from_shape, char* to, Shape to_shape, size_t axis,
                int64_t from_bytes, int64_t to_bytes, int64_t bytes) {
  if (axis == from_shape.size()) {
    std::memcpy(to, from, bytes);
    return;
  }
  const int64_t count = std::min(from_shape[axis], to_shape[axis]);
  if (axis + 1 == from_shape.size()) {
    std::memcpy(to, from, count * bytes);
    return;
  }
  from_bytes /= from_shape[axis];
  to_bytes /= to_shape[axis];
  for (int64_t i = 0; i < count; ++i)
    CopyCorner(from + i * from_bytes, from_shape, to + i * to_bytes, to_shape, axis + 1,
               from_bytes, to_bytes, bytes);
}

// Every result is a leading corner of its argument, or holds it as one, with zeros beyond.
ffi::Error Corners(ffi::RemainingArgs arrays, ffi::RemainingRets corners) {
  for (size_t i = 0; i < arrays.size(); ++i) {
    auto from = arrays.get<ffi::AnyBuffer>(i);
    if (!from.has_value()) return from.error();
    auto result = corners.get<ffi::AnyBuffer>(i);
    if (!result.has_value()) return result.error();
    ffi::AnyBuffer& to = **result;
    if (to.size_bytes() > from->size_bytes()) std::memset(to.untyped_data(), 0, to.size_bytes());
    if (to.size_bytes() == 0 || from->size_bytes() == 0) continue;
    CopyCorner(static_cast<const char*>(from->untyped_data()), from->dimensions(),
               static_cast<char*>(to.untyped_data()), to.dimensions(), 0, from->size_bytes(),
               to.size_bytes(), Bytes(*from));
  }
  return ffi::Error::Success();
}

// The results are neighbouring pieces of a vector, in their order.
ffi::Error Split(ffi::AnyBuffer vector, ffi::RemainingRets pieces) {
  const char* from = static_cast<const char*>(vector.untyped_data());
  for (size_t i = 0; i < pieces.size(); ++i) {
    auto piece = pieces.get<ffi::AnyBuffer>(i);
    if (!piece.has_value()) return piece.error();
    std::memcpy((*piece)->untyped_data(), from, (*piece)->size_bytes());
    from += (*piece)->size_bytes();
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(corners, Corners,
                              ffi::Ffi::Bind().RemainingArgs().RemainingRets());

XLA_FFI_DEFINE_HANDLER_SYMBOL(split, Split,
                              ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().RemainingRets());

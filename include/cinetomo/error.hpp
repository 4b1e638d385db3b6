// What the C++ interface throws.
#ifndef CINETOMO_ERROR_HPP
#define CINETOMO_ERROR_HPP

#include <cstdint>
#include <stdexcept>
#include <string>

namespace cinetomo {

// A failed call: a CINETOMO_STATUS_* and the full message.
class Error : public std::runtime_error {
 public:
  // With a CINETOMO_STATUS_* and what was wrong.
  Error(std::int32_t status, const std::string &message) : std::runtime_error(message), status_(status) {}
  // A CINETOMO_STATUS_*.
  std::int32_t status() const noexcept { return status_; }

 private:
  std::int32_t status_;
};

}  // namespace cinetomo

#endif  // CINETOMO_ERROR_HPP

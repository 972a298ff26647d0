// A message as Boost.Beast has parsed it -> the handler's request.
#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string_view>

#include "src/api/http/handler.h"

namespace holdfast::api::http {

inline std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

// Views into the message.
inline Request RequestOf(
    const boost::beast::http::request<boost::beast::http::string_body>& message) {
  Request request;
  request.verb = View(message.method_string());
  request.target = View(message.target());
  request.body = message.body();
  for (const auto& field : message) {
    request.headers.emplace_back(View(field.name_string()), View(field.value()));
  }
  return request;
}

}  // namespace holdfast::api::http

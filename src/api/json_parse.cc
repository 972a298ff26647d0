// The way in: a streaming parser whose events set fields by reflection, with no tree in between.
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "holdfast/options.pb.h"
#include "src/api/json.h"
#include "src/api/method_part.h"
#include "src/api/scalar.h"
#include "src/api/text.h"
#include "src/base/bounds.h"
#include "src/base/check.h"
#include "src/state_machine/canonical.h"

namespace holdfast::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kNameShownBytesMax = 64;  // Of a name that the caller made up.
constexpr int kFieldNamesShownMax = 24;

// Errors are for people: a made-up name is shown shortened, and never cut inside a character.
std::string Shortened(std::string_view name) {
  if (name.size() <= kNameShownBytesMax) return std::string(name);
  size_t end = kNameShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return Cat(name.substr(0, end), "...");
}

const FieldDescriptor* FindField(const Descriptor* type, std::string_view name) {
  const std::string key(name);
  if (const FieldDescriptor* field = type->FindFieldByName(key)) return field;
  return type->FindFieldByCamelcaseName(key);
}

Error UnknownField(const Descriptor* type, std::string path) {
  std::string hint = type->field_count() == 0 ? "no fields are taken here" : "known fields: ";
  for (int i = 0; i < std::min(type->field_count(), kFieldNamesShownMax); ++i) {
    Append(&hint, i == 0 ? "" : ", ", type->field(i)->name());
  }
  Error error = InvalidArgument(std::move(path), "unknown field");
  error.hint = std::move(hint);
  return error;
}

// Receives RapidJSON's events. Each open object, array and map is a frame; the path of an error is
// read off the frames, so a good text pays nothing for it.
class Handler {
 public:
  // Within a text that has been parsed down to `depth` and holds `elements` up to here.
  explicit Handler(Message* root, size_t depth = 0, size_t elements = 0)
      : root_(root), depth_(depth), elements_(elements) {}

  // Parses one value of `field` (an element or the whole, when repeated) instead of an object.
  Handler(Message* message, const FieldDescriptor* field) : root_(nullptr) {
    Frame frame(Frame::kObject, message);
    frame.field = field;
    frames_.push_back(std::move(frame));
    base_ = 1;
    allow_element_ = field->is_repeated();
  }

  static Result<void> Parse(std::string_view text, Handler& handler);

  std::optional<Error> error;

  bool Null() {
    if (skipped_ > 0) return true;
    if (frames_.empty()) return Refuse("must be an object");
    if (frames_.back().kind == Frame::kObject) return true;  // Absent.
    NextElement();
    return Refuse("must not be null");
  }
  bool Bool(bool value) { return skipped_ > 0 || Scalar(Text::kBool, value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return skipped_ > 0 || Scalar(Text::kNumber, {text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return skipped_ > 0 || Scalar(Text::kString, {text, size});
  }
  // Numbers come as text (kParseNumbersAsStringsFlag); the interface wants these all the same.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  bool StartObject() {
    if (!CheckDepth()) return false;
    if (skipped_ > 0) return ++skipped_ > 0;
    if (frames_.empty()) {
      frames_.emplace_back(Frame::kObject, root_);
      return true;
    }
    if (!NextElement()) return false;
    Message* owner = frames_.back().message;
    const FieldDescriptor* field = frames_.back().field;
    if (field->is_map()) {
      Frame frame(Frame::kMap, owner);
      frame.map = field;
      frame.map_owner = owner;
      frames_.push_back(std::move(frame));
      return true;
    }
    if (!ElementFits(field)) return Refuse("must be an array");
    if (IsMethodPart(field)) return BeginPart(field);
    if (IsScalar(field)) return Refuse(Expectation(field));
    if (Reason reason = OneofTaken(frames_.back())) return Refuse(*std::move(reason));
    Message* value = field->is_repeated() ? owner->GetReflection()->AddMessage(owner, field)
                                          : owner->GetReflection()->MutableMessage(owner, field);
    frames_.emplace_back(Frame::kObject, value);
    return true;
  }

  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (skipped_ > 0) return true;
    const std::string_view name(text, size);
    Frame& frame = frames_.back();
    if (!IsValidUtf8(name)) {
      frame.field = nullptr;  // Such a name is not shown.
      return Refuse("has a name that is not valid UTF-8");
    }
    if (frame.kind == Frame::kMap) return MapKey(frame, name);
    const Descriptor* type = frame.message->GetDescriptor();
    const FieldDescriptor* field = FindField(type, name);
    if (field == nullptr) {
      frame.field = nullptr;
      error = UnknownField(type, Path(Shortened(name)));
      return false;
    }
    frame.field = field;
    if (frame.seen.empty()) frame.seen.resize(static_cast<size_t>(type->field_count()));
    if (frame.seen[static_cast<size_t>(field->index())]) return Refuse("appears more than once");
    frame.seen[static_cast<size_t>(field->index())] = true;
    return true;
  }

  bool EndObject(rapidjson::SizeType) {
    if (skipped_ == 0) return Close();
    if (--skipped_ == 0) frames_.back().part_end = stream_->Tell() + 1;
    return true;
  }

  bool StartArray() {
    if (!CheckDepth()) return false;
    if (skipped_ > 0) return ++skipped_ > 0;
    if (frames_.empty()) return Refuse("must be an object");
    if (!NextElement()) return false;
    Frame& top = frames_.back();
    const bool array =
        top.kind == Frame::kObject && top.field->is_repeated() && !top.field->is_map();
    if (!array) return Refuse(top.field->is_map() ? "must be an object" : Expectation(top.field));
    Frame frame(Frame::kArray, top.message);
    frame.field = top.field;
    frame.max_size = top.field->options().GetExtension(holdfast::field).max_size();
    frames_.push_back(std::move(frame));
    return true;
  }

  bool EndArray(rapidjson::SizeType) {
    if (skipped_ == 0) return Close();
    --skipped_;  // Not the last one: what is skipped is an object.
    return true;
  }

  // The path of the value under way, ending in `name` if one is given.
  std::string Path(std::string_view name = {}) const {
    std::string path;
    const auto append = [&path](std::string_view part) {
      Append(&path, path.empty() ? "" : ".", part);
    };
    for (const Frame& frame : frames_) {
      if (frame.kind == Frame::kArray) {
        if (frame.index >= 0) Append(&path, "[", frame.index, "]");
      } else if (frame.kind == Frame::kMap) {
        if (frame.field != nullptr) append(Shortened(frame.key));
      } else if (frame.field != nullptr) {
        append(frame.field->name());
      }
    }
    if (!name.empty()) append(name);
    return path;
  }

 private:
  struct Frame {
    enum Kind { kObject, kArray, kMap };
    Frame(Kind k, Message* m) : kind(k), message(m) {}

    Kind kind;
    // What the next value goes into, and which field of it; nullptr before the first key. In a map
    // these are the entry and its value field.
    Message* message;
    const FieldDescriptor* field = nullptr;
    std::vector<bool> seen;                // kObject: by field index.
    int index = -1;                        // kArray: of the element under way.
    uint32_t max_size = 0;                 // kArray: FieldOptions.max_size.
    const FieldDescriptor* map = nullptr;  // kMap: the map's own field, of map_owner.
    Message* map_owner = nullptr;
    std::string key;  // kMap: of the entry under way.
    std::set<std::string, std::less<>> keys;
    // kObject: where in the text the value of a method's part stands, until the method is known.
    const FieldDescriptor* part = nullptr;
    size_t part_begin = 0;
    size_t part_end = 0;
  };

  bool Refuse(std::string reason) {
    error = InvalidArgument(Path(), std::move(reason));
    return false;
  }

  bool CheckDepth() {
    if (Depth() < bounds::kJsonDepthMax) return true;
    return Refuse(Cat("is nested deeper than ", bounds::kJsonDepthMax, " levels"));
  }

  size_t Depth() const { return depth_ + frames_.size() - base_ + skipped_; }

  bool CountElement() {
    if (++elements_ <= bounds::kJsonElementsMax) return true;
    return Refuse(Cat("the text holds more than ", bounds::kJsonElementsMax, " elements"));
  }

  // Steps to the next element when the value under way is one.
  bool NextElement() {
    Frame& top = frames_.back();
    if (top.kind != Frame::kArray) return true;
    ++top.index;
    if (top.max_size > 0 && static_cast<uint32_t>(top.index) >= top.max_size) {
      top.index = -1;
      return Refuse(Cat("must have at most ", top.max_size, " entries"));
    }
    return CountElement();
  }

  // Whether a value that is no array may stand here: not for a whole repeated field.
  bool ElementFits(const FieldDescriptor* field) const {
    return !field->is_repeated() || frames_.back().kind == Frame::kArray ||
           (allow_element_ && frames_.size() == base_);
  }

  bool Scalar(Text kind, std::string_view text) {
    if (frames_.empty()) return Refuse("must be an object");
    if (!NextElement()) return false;
    const Frame& top = frames_.back();
    if (top.field->is_map()) return Refuse("must be an object");
    if (!ElementFits(top.field)) return Refuse("must be an array");
    if (!IsScalar(top.field)) return Refuse(Expectation(top.field));
    if (Reason reason = OneofTaken(top)) return Refuse(*std::move(reason));
    if (Reason reason = SetScalar(top.message, top.field, kind, text)) {
      return Refuse(*std::move(reason));
    }
    return true;
  }

  static Reason OneofTaken(const Frame& frame) {
    const auto* oneof = frame.field->real_containing_oneof();
    if (oneof == nullptr) return std::nullopt;
    const auto* other =
        frame.message->GetReflection()->GetOneofFieldDescriptor(*frame.message, oneof);
    if (other == nullptr || other == frame.field) return std::nullopt;
    return Cat("must not be given together with ", other->name());
  }

  bool MapKey(Frame& frame, std::string_view key) {
    frame.key.assign(key);
    if (!frame.keys.insert(frame.key).second) return Refuse("appears more than once");
    if (!CountElement()) return false;
    frame.message = frame.map_owner->GetReflection()->AddMessage(frame.map_owner, frame.map);
    frame.field = frame.map->message_type()->map_value();
    if (Reason reason =
            SetScalar(frame.message, frame.map->message_type()->map_key(), Text::kPlain, key)) {
      return Refuse("the key " + *reason);
    }
    return true;
  }

  bool Close() {
    if (frames_.back().part != nullptr && !SetPart(frames_.back())) return false;
    frames_.pop_back();
    return true;
  }

  // The members of an object have no order: the method may be named after what it takes.
  bool BeginPart(const FieldDescriptor* field) {
    HOLDFAST_CHECK(frames_.back().kind == Frame::kObject && !field->is_repeated(),
                   field->full_name() + " is repeated");
    frames_.back().part = field;
    frames_.back().part_begin = stream_->Tell();
    skipped_ = 1;
    return true;
  }

  bool SetPart(Frame& frame) {
    const std::string name = MethodBeside(*frame.message);
    google::protobuf::Arena arena;
    Message* part = NewMethodPart(frame.part, name, &arena);
    if (part == nullptr) {
      frame.field = nullptr;
      error = InvalidArgument(Path("method"),
                              name.empty() ? "is required" : "there is no " + Shortened(name));
      return false;
    }
    frame.field = frame.part;
    const std::string_view text(stream_->begin_ + frame.part_begin,
                                frame.part_end - frame.part_begin);
    Handler nested(part, Depth(), elements_);
    if (Result<void> parsed = Parse(text, nested); !parsed) {
      error = std::move(parsed.error());
      error->field = error->field.empty() ? Path() : Path(error->field);
      return false;
    }
    elements_ = nested.elements_;
    frame.message->GetReflection()->SetString(frame.message, frame.part,
                                              state_machine::Canonical(*part));
    return true;
  }

  Message* root_;
  const rapidjson::MemoryStream* stream_ = nullptr;
  std::vector<Frame> frames_;
  size_t base_ = 0;  // Frames that stand for no bracket in the text.
  bool allow_element_ = false;
  size_t depth_ = 0;
  size_t elements_ = 0;
  size_t skipped_ = 0;  // Brackets open in a value that is taken out unparsed.
};

Result<void> Handler::Parse(std::string_view text, Handler& handler) {
  constexpr unsigned kFlags = rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream(text.data(), text.size());
  handler.stream_ = &stream;
  rapidjson::Reader reader;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, handler);
  if (handler.error) return Fail(*std::move(handler.error));
  if (result.IsError()) {
    return Fail(
        InvalidArgument(handler.Path(), Cat("not valid JSON at byte ", result.Offset(), ": ",
                                            rapidjson::GetParseError_En(result.Code()))));
  }
  // A NUL byte looks like the end to RapidJSON.
  if (stream.Tell() != text.size()) {
    return Fail(InvalidArgument(
        "", Cat("not valid JSON at byte ", stream.Tell(), ": text after the value")));
  }
  return {};
}

}  // namespace

Result<void> ParseJson(std::string_view text, Message* message) {
  Handler handler(message);
  return Handler::Parse(text, handler);
}

Result<void> FieldWriter::Set(std::string_view name, std::string_view text) {
  Message* message = message_;
  std::string path;
  std::string_view rest = name;
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const FieldDescriptor* field = FindField(message->GetDescriptor(), part);
    if (field == nullptr) {
      const std::string prefix = path.empty() ? "" : path + ".";
      return Fail(UnknownField(message->GetDescriptor(), prefix + Shortened(part)));
    }
    Append(&path, path.empty() ? "" : ".", field->name());
    const bool last = dot == std::string_view::npos;
    rest = last ? std::string_view() : rest.substr(dot + 1);

    const auto refuse = [&](std::string reason) {
      return Fail(InvalidArgument(path, std::move(reason)));
    };
    const auto* oneof = field->real_containing_oneof();
    const auto* chosen = oneof == nullptr
                             ? nullptr
                             : message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
    if (chosen != nullptr && chosen != field) {
      return refuse("must not be given together with " + chosen->name());
    }
    if (!last && !field->is_map()) {
      if (field->is_repeated() || IsScalar(field)) return refuse("has no fields of its own");
      message = message->GetReflection()->MutableMessage(message, field);
      continue;
    }
    if (field->is_map() && !last) {
      // The rest, dots and all, is the key.
      Append(&path, ".", Shortened(rest));
      if (!names_.insert(field->full_name() + "." + std::string(rest)).second) {
        return refuse("appears more than once");
      }
      const auto* entry_type = field->message_type();
      if (!IsScalar(entry_type->map_value())) return refuse("must be given as JSON");
      Message* entry = message->GetReflection()->AddMessage(message, field);
      Reason reason = SetScalar(entry, entry_type->map_key(), Text::kPlain, rest);
      if (!reason) reason = SetScalar(entry, entry_type->map_value(), Text::kPlain, text);
      if (reason) return refuse(*std::move(reason));
      return {};
    }
    if (!field->is_repeated() && !names_.insert(path).second) {
      return refuse("appears more than once");
    }
    if (IsScalar(field) && !field->is_map()) {
      if (Reason reason = SetScalar(message, field, Text::kPlain, text)) {
        return refuse(*std::move(reason));
      }
      return {};
    }
    Handler handler(message, field);
    Result<void> parsed = Handler::Parse(text, handler);
    if (!parsed && parsed.error().field != path && path != field->name()) {
      // The handler knows the path from its own message on.
      parsed.error().field =
          path.substr(0, path.size() - field->name().size()) + parsed.error().field;
    }
    return parsed;
  }
}

}  // namespace holdfast::api

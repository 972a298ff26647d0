#include "sim/chat_judge.h"

#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "services/chat/model.h"

namespace holdfast::sim {
namespace {

using chat::Model;

// Beside the model, what readers would say: in a page nothing comes before what it follows, and
// nothing is missing; in all pages of all nodes a number is one message, and a message has one
// number; what a member has read does not become less.
class ChatJudge : public ModelJudge<Model> {
 public:
  void Begin(const Moment& at) override { model_.PassTo(at); }

  std::string Execute(const std::string& method, const std::string& body) override {
    if (method == "chat.CreateRoom") return Do(&Model::CreateRoom, body);
    if (method == "chat.DeleteRoom") return Do(&Model::DeleteRoom, body);
    if (method == "chat.Join") return Do(&Model::Join, body);
    if (method == "chat.Leave") return Do(&Model::Leave, body);
    if (method == "chat.Post") return Do(&Model::Post, body);
    if (method == "chat.MarkRead") return Do(&Model::MarkRead, body);
    throw Violation("the model does not know the method " + method);
  }

  std::string Difference(const ReadRecord& read) const override {
    using namespace chat;  // NOLINT: the messages of this one service.
    if (read.method == "chat.GetRoom") {
      return Differ(model_.GetRoom(Parsed<GetRoomRequest>(read.request)), read);
    }
    if (read.method == "chat.ListRooms") {
      return Differ(std::optional(model_.ListRooms(Parsed<ListRoomsRequest>(read.request))), read);
    }
    if (read.method == "chat.ListMembers") {
      const auto request = Parsed<ListMembersRequest>(read.request);
      const std::string seen =
          read.found ? Seen(request, Parsed<ListMembersReply>(read.reply)) : "";
      return seen.empty() ? Differ(model_.ListMembers(request), read) : seen;
    }
    if (read.method == "chat.Receive") {
      const auto request = Parsed<ReceiveRequest>(read.request);
      const std::string seen = read.found ? Seen(request, Parsed<ReceiveReply>(read.reply)) : "";
      return seen.empty() ? Differ(model_.Receive(request), read) : seen;
    }
    if (read.method == "chat.ListMessages") {
      return Differ(model_.ListMessages(Parsed<ListMessagesRequest>(read.request)), read);
    }
    if (read.method == "chat.GetMessage") {
      return Differ(model_.GetMessage(Parsed<GetMessageRequest>(read.request)), read);
    }
    throw Violation("the model does not know the read " + read.method);
  }

  std::vector<Asked> Everything() const override {
    std::vector<Asked> all;
    for (const std::string& room : model_.Rooms()) {
      chat::GetRoomRequest get;
      get.set_room(room);
      all.push_back(AskedOf("chat.GetRoom", get));
      chat::ListMembersRequest members;
      members.set_room(room);
      all.push_back(AskedOf("chat.ListMembers", members));
      const uint64_t last = model_.GetRoom(get)->last();
      for (uint64_t after = 0; after < last; after += 1'000) {
        chat::ReceiveRequest receive;
        receive.set_room(room);
        receive.set_after(after);
        receive.set_limit(1'000);
        all.push_back(AskedOf("chat.Receive", receive));
        chat::ListMessagesRequest list;
        list.set_room(room);
        list.set_after(after);
        list.set_limit(1'000);
        all.push_back(AskedOf("chat.ListMessages", list));
      }
    }
    return all;
  }

 private:
  template <class Request, class Reply>
  std::string Do(Reply (Model::*method)(const Request&), const std::string& body) {
    return Answer<Request>(body, [&](const Request& request) { return (model_.*method)(request); });
  }

  // What no reader may see, whatever the model says; empty: nothing.
  std::string Seen(const chat::ReceiveRequest& request, const chat::ReceiveReply& page) const {
    std::set<std::string> shown;
    uint64_t last = request.after();
    for (const chat::Message& message : page.messages()) {
      const std::string& room = request.room();
      const std::string& id =
          ids_.try_emplace({room, message.number()}, message.id()).first->second;
      const uint64_t number = numbers_.try_emplace({room, id}, message.number()).first->second;
      if (id != message.id() || number != message.number()) {
        return "saw " + message.id() + " as message " + std::to_string(message.number()) + " of " +
               room + ", and somebody has seen " + id + " as message " + std::to_string(number);
      }
      if (message.has_delay_ms()) continue;  // A network is played.
      if (message.number() != ++last) {
        return "saw message " + std::to_string(message.number()) + " instead of " +
               std::to_string(last);
      }
      if (!shown.insert(message.id()).second) return "saw " + message.id() + " twice";
      for (const chat::Named& named : message.follows()) {
        if (named.number() <= request.after() || shown.contains(named.id())) continue;
        return "saw " + message.id() + " before " + named.id() + ", which it follows";
      }
    }
    return "";
  }

  // Reads are judged in the order of what they have seen.
  std::string Seen(const chat::ListMembersRequest& request,
                   const chat::ListMembersReply& page) const {
    for (const chat::Member& member : page.members()) {
      uint64_t& read_to =
          read_to_[{request.room(), member.member(), member.joined().SerializeAsString()}];
      if (member.read_to() < read_to) {
        return "saw that " + member.member() + " has read to " + std::to_string(member.read_to()) +
               " of " + request.room() + ", and it was " + std::to_string(read_to);
      }
      read_to = member.read_to();
    }
    return "";
  }

  // What anybody has seen.
  mutable std::map<std::pair<std::string, uint64_t>, std::string> ids_;
  mutable std::map<std::pair<std::string, std::string>, uint64_t> numbers_;
  mutable std::map<std::tuple<std::string, std::string, std::string>, uint64_t> read_to_;
};

}  // namespace

std::shared_ptr<Judge> MakeChatJudge() { return std::make_shared<ChatJudge>(); }

}  // namespace holdfast::sim

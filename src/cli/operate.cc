#include "src/cli/operate.h"

#include "src/cli/backup_command.h"
#include "src/cli/completion.h"
#include "src/cli/config_command.h"
#include "src/cli/inspect_command.h"
#include "src/cli/members_command.h"
#include "src/cli/outcome.h"
#include "src/cli/reference.h"
#include "src/cli/status_command.h"
#include "src/cli/verify_command.h"

namespace holdfast::cli {

void AddOperatingCommands(const state_machine::Registry& registry, CLI::App& root,
                          Commands& commands) {
  AddStatusCommand(root, commands);
  AddMembersCommand(root, commands);
  AddTopCommand(root, commands);
  AddClockCommand(root, commands);
  AddLogCommand(root, commands);
  AddBackupCommand(root, commands);
  AddRestoreCommand(root, commands);
  AddVerifyCommand(root, commands);
  AddInspectCommand(root, commands);
  AddRepairCommand(root, commands);
  AddOutcomeByKey(registry, commands);
  AddConfigCommand(root, commands);
  AddCompletionCommand(root, commands);
  AddReferenceCommand(registry, root, commands);
}

}  // namespace holdfast::cli

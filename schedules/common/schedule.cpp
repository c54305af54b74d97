#include "schedules/common/schedule.h"

#include <Halide.h>

#include <vector>

namespace nitrix {

static std::vector<const ScheduleTable *> &tables() {
    static std::vector<const ScheduleTable *> all;
    return all;
}

ScheduleRegistration::ScheduleRegistration(const ScheduleTable &table) { tables().push_back(&table); }

const ScheduleTable &schedule_named(const std::string &name) {
    std::string known;
    for (const ScheduleTable *table : tables()) {
        if (table->name == name)
            return *table;
        known += std::string(" ") + table->name;
    }
    throw Halide::CompileError("schedule: got '" + name + "', linked into this generator:" + known);
}

} // namespace nitrix

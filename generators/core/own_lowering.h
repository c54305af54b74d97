// What Halide has no words for, made of calls once its own lowering is done.
#pragma once

#include <Halide.h>

#include <map>
#include <string>
#include <vector>

#include "generators/core/prefetch.h"

namespace nitrix {

// The address of an element of a Func that is stored when this is reached.
inline Halide::Expr address_of(const Halide::Expr &element) {
    using Halide::Internal::Call;
    return Call::make(Halide::UInt(64), "nitrix_address_of", {element}, Call::Extern);
}

// Whether a function of the runtime says so. A schedule may specialise on it, and on its negation: Halide itself
// knows inside a specialisation no more than what a comparison with one variable tells.
inline Halide::Expr decided_by(const std::string &function, const std::vector<Halide::Expr> &arguments) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), "nitrix_whether_" + function, arguments, Call::PureExtern) == 1;
}

// The requests of an expression (prefetch.h) as statements: instructions in the kernel, since a call of a function
// takes as long as a row of a sparse product.
class Requests : public Halide::Internal::IRVisitor {
public:
    static bool is_one(const std::string &name) { return name.rfind("nitrix_ask_", 0) == 0; }

    // Undefined where there are none.
    static Halide::Internal::Stmt of(const Halide::Expr &value) {
        Requests found;
        value.accept(&found);
        return found.all_;
    }

private:
    using Expr = Halide::Expr;
    using Stmt = Halide::Internal::Stmt;
    using Call = Halide::Internal::Call;
    using IRVisitor::visit;

    void visit(const Call *call) override {
        if (is_one(call->name))
            add(statement(call));
        else if (call->is_intrinsic(Call::if_then_else))
            add_under(call->args[0], of(call->args[1]), of(call->args[2]));
        else
            IRVisitor::visit(call);
    }

    void visit(const Halide::Internal::Let *let) override {
        let->value.accept(this);
        if (const Stmt body = of(let->body); body.defined())
            add(Halide::Internal::LetStmt::make(let->name, let->value, body));
    }

    void add(const Stmt &stmt) { all_ = all_.defined() ? Halide::Internal::Block::make(all_, stmt) : stmt; }

    void add_under(const Expr &condition, const Stmt &yes, const Stmt &no) {
        using Halide::Internal::IfThenElse;
        if (yes.defined())
            add(IfThenElse::make(condition, yes, no));
        else if (no.defined())
            add(IfThenElse::make(!condition, no));
    }

    template <typename Body> static Stmt loop(const Expr &begin, const Expr &count, const Body &body) {
        using namespace Halide::Internal;
        if (is_const_one(count))
            return body(begin);
        const std::string name = unique_name("ask");
        return For::make(name, begin, count, ForType::Serial, Halide::Partition::Never, Halide::DeviceAPI::None,
                         body(Variable::make(Halide::Int(32), name)));
    }

    static Expr after(const Expr &first, const Expr &number, const Expr &apart) {
        return first + Halide::cast<uint64_t>(Halide::cast<int64_t>(number) * apart);
    }

    static Stmt line(const Expr &at) { // for reading, into the nearest cache, of data: locality 3 and 1
        return Halide::Internal::Evaluate::make(Call::make(Halide::Int(32), "llvm.prefetch.p0",
                                                           {reinterpret(Halide::Handle(), at), 0, 3, 1}, Call::Extern));
    }

    static Stmt lines(const Expr &at, const Expr &whole, const Expr &more) {
        const Expr apart = Halide::Internal::make_const(Halide::Int(64), line_bytes);
        const auto nth = [&](const Expr &l) { return line(after(at, l, apart)); };
        const auto known = Halide::Internal::as_const_int(whole);
        Stmt all;
        if (known && *known > 0 && *known <= most_unrolled) {
            for (int l = static_cast<int>(*known) - 1; l >= 0; --l)
                all = all.defined() ? Halide::Internal::Block::make(nth(l), all) : nth(l);
        } else {
            all = loop(0, whole, nth);
        }
        if (Halide::Internal::is_const_zero(more))
            return all;
        return Halide::Internal::Block::make(all, Halide::Internal::IfThenElse::make(more != 0, nth(whole)));
    }

    // What `body` makes of a name.
    template <typename Body> static Stmt with_name(const Expr &names, const Expr &at, const Body &body) {
        using namespace Halide::Internal;
        const std::string array = unique_name("names"), name = unique_name("name");
        const Expr loaded = Load::make(Halide::Int(32), array, at, Halide::Buffer<>(), Halide::Parameter(),
                                       const_true(), ModulusRemainder());
        return LetStmt::make(array, reinterpret(Halide::Handle(), names),
                             LetStmt::make(name, loaded, body(Variable::make(Halide::Int(32), name))));
    }

    static Stmt statement(const Call *call) {
        using namespace Halide::Internal;
        const std::vector<Expr> &args = call->args;
        const Expr &first = args[0], &apart = args[1];
        if (call->name == ask::rows)
            return loop(0, args[2], [&](const Expr &r) { return lines(after(first, r, apart), args[3], args[4]); });
        if (call->name == ask::named)
            return loop(0, args[3], [&](const Expr &r) {
                return with_name(args[2], r, [&](const Expr &name) {
                    return IfThenElse::make(name >= 0, lines(after(first, name, apart), args[4], args[5]));
                });
            });
        const Expr &names = args[2], last = args[3] - 1;
        const auto one = [&](const Expr &name) { return line(after(first, name, apart)); };
        return with_name(names, 0, [&](const Expr &from) {
            return with_name(names, last, [&](const Expr &to) {
                const Stmt between = loop(1, last - 1, [&](const Expr &e) { return with_name(names, e, one); });
                return Block::make({one(from), one(to), IfThenElse::make(to - from != last, between)});
            });
        });
    }

    static constexpr int most_unrolled = 16;
    Stmt all_;
};

class OwnLowering : public Halide::Internal::IRMutator {
    using IRMutator::visit;

    Halide::Expr visit(const Halide::Internal::Call *call) override {
        using namespace Halide;
        if (const auto known = said_.find(call->name); known != said_.end())
            return known->second;
        if (Requests::is_one(call->name)) {
            _halide_user_assert(storing_) << call->name << " stands where nothing is stored";
            return 0;
        }
        if (call->name != "nitrix_address_of")
            return IRMutator::visit(call);
        const auto *load = call->args[0].as<Internal::Load>();
        _halide_user_assert(load) << "address_of: " << call->args[0] << " is not stored";
        return reinterpret<uint64_t>(Internal::Variable::make(Handle(), load->name)) +
               cast<uint64_t>(cast<int64_t>(mutate(load->index)) * load->type.bytes());
    }

    // An element's distance from an array's first one is computed with 64 bits: int64(j + first) - int64(first). What
    // does not overflow is j, and then known to the address.
    static bool is_first(const Halide::Expr &index) {
        const auto *variable = index.as<Halide::Internal::Variable>();
        return variable && variable->param.defined() && Halide::Internal::ends_with(variable->name, ".min.0");
    }

    Halide::Expr visit(const Halide::Internal::Cast *cast) override {
        using namespace Halide::Internal;
        const auto *sum = cast->value.as<Add>();
        if (cast->type != Halide::Int(64) || !sum || !(is_first(sum->a) || is_first(sum->b)))
            return IRMutator::visit(cast);
        return Cast::make(cast->type, mutate(sum->a)) + Cast::make(cast->type, mutate(sum->b));
    }

    // What has become a number here is one in the functions of parallel loops too.
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *let) override {
        using namespace Halide::Internal;
        const auto *cast = let->value.as<Cast>();
        const bool first = cast && is_first(cast->value);
        Halide::Expr value = mutate(let->value);
        if (!value.same_as(let->value))
            value = simplify(value);
        const auto outer = known_; // a name may have another meaning elsewhere
        known_.erase(let->name);
        Stmt result;
        if (first || is_const(value)) {
            known_[let->name] = value;
            result = mutate(let->body);
        } else {
            result = LetStmt::make(let->name, value, mutate(let->body));
        }
        known_ = outer;
        return result;
    }

    Halide::Expr visit(const Halide::Internal::Let *let) override {
        const Halide::Expr value = mutate(let->value);
        const auto outer = known_;
        known_.erase(let->name);
        const Halide::Expr result = Halide::Internal::Let::make(let->name, value, mutate(let->body));
        known_ = outer;
        return result;
    }

    Halide::Expr visit(const Halide::Internal::Variable *variable) override {
        const auto number = known_.find(variable->name);
        return number == known_.end() ? variable : number->second;
    }

    Halide::Internal::Stmt visit(const Halide::Internal::Store *store) override {
        const Halide::Internal::Stmt requests = Requests::of(store->value);
        if (!requests.defined())
            return IRMutator::visit(store);
        storing_ = true;
        const Halide::Internal::Stmt stored = IRMutator::visit(store);
        storing_ = false;
        return Halide::Internal::Block::make(mutate(requests), stored);
    }

    Halide::Internal::Stmt visit(const Halide::Internal::IfThenElse *branch) override {
        const Halide::Expr condition = mutate(branch->condition);
        const std::map<std::string, int> before = said_;
        learn(branch->condition);
        const Halide::Internal::Stmt then_case = mutate(branch->then_case);
        said_ = before;
        return Halide::Internal::IfThenElse::make(condition, then_case, mutate(branch->else_case));
    }

    void learn(const Halide::Expr &condition) {
        using namespace Halide::Internal;
        if (const auto *let = condition.as<Let>())
            learn(let->body);
        if (const auto *both = condition.as<And>()) {
            learn(both->a);
            learn(both->b);
        }
        const auto *same = condition.as<EQ>();
        const auto *differs = condition.as<NE>();
        if (same)
            learn(same->a, same->b, 1);
        if (differs)
            learn(differs->a, differs->b, 0);
    }

    void learn(const Halide::Expr &said, const Halide::Expr &one, int what) {
        const auto *call = said.as<Halide::Internal::Call>();
        if (call && call->name.rfind("nitrix_whether_", 0) == 0 && is_const_one(one))
            said_[call->name] = what;
    }

    std::map<std::string, int> said_;           // by functions, as conditions around this tell
    std::map<std::string, Halide::Expr> known_; // variables
    bool storing_ = false;
};

} // namespace nitrix

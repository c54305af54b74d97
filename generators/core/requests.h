// Requests to memory (prefetch.h) as what a kernel executes.
#pragma once

#include <Halide.h>

#include <string>
#include <vector>

#include "generators/core/prefetch.h"

namespace nitrix {

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
        if (call->name == ask::named) {
            const auto row = [&](const Expr &name) { return lines(after(first, name, apart), args[5], args[6]); };
            const Stmt any = loop(0, args[3], [&](const Expr &r) {
                return with_name(args[2], r, [&](const Expr &name) { return IfThenElse::make(name >= 0, row(name)); });
            });
            if (is_const_zero(args[4]))
                return any;
            const Stmt two = Block::make(with_name(args[2], 0, row), with_name(args[2], 1, row));
            return IfThenElse::make(args[4], two, any);
        }
        const Expr &names = args[2], last = args[3] - 1;
        const auto one = [&](const Expr &name) { return line(after(first, name, apart)); };
        return with_name(names, 0, [&](const Expr &from) {
            const Stmt named = with_name(names, last, [&](const Expr &to) {
                const Stmt between = loop(1, last - 1, [&](const Expr &e) { return with_name(names, e, one); });
                return Block::make(one(to), IfThenElse::make(to - from != last, between));
            });
            return Block::make(one(from), IfThenElse::make(args[4], one(from + last), named));
        });
    }

    static constexpr int most_unrolled = 16;
    Stmt all_;
};

} // namespace nitrix

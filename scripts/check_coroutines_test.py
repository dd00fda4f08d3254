"""Tests of check_coroutines.py: code that GCC 12 compiles wrongly, and code beside it that it compiles well."""

import unittest

import check_coroutines as script


def findings(code):
    return [what for _, what in script.check("Task<void> f() {\n" + code + "\n}\n")]


class CheckCoroutinesTest(unittest.TestCase):
    def refused(self, what, *lines):
        for line in lines:
            self.assertEqual(findings(line), [what], line)

    def allowed(self, *lines):
        for line in lines:
            self.assertEqual(findings(line), [], line)

    def test_conditions(self):
        self.refused(script.CONDITION, "if (co_await g()) h();", "while (!co_await g()) {}", "if (a && (co_await g())) h();",
                     "switch (co_await g()) {}")
        self.allowed("if (auto done = co_await g(); !done) h();", "if (a) co_await g();", "for (auto x : co_await g()) h(x);")

    def test_aggregates(self):
        self.refused(script.BRACES, "co_await g(A{1});", "co_await g(a, b::A{.x = 1});", "co_await g(h(A<int>{}));",
                     "co_await a.b->g({});", "co_await g(1, {.x = 1});", "auto r = h(A{1}, co_await g());",
                     "CO_TRY(auto r, co_await g(A{1}));", "co_return co_await g(A{1});", "x = co_await g() + h(A{1});")
        self.allowed("A a{1}; co_await g(std::move(a));", "co_await g(); h(A{1});", "co_await g(std::string(b), A(1));",
                     "co_return A{1};", "if (a) { h(A{1}); } (void)co_await g();", 'co_await g("{");', "co_await g(); // {}",
                     "for (int i : {1, 2}) co_await g();", "if (a == A{1}) co_await g();", "if (a) h(A{1}); else co_await g();")

    def test_lambdas_that_capture_by_value(self):
        self.refused(script.CAPTURE, "co_await g([a] { return a; });", "co_await g([=]() { return a; });",
                     "co_await g([a = h(b, c)]() mutable -> int { return a; });", "co_await g([&, a] { h(a); });",
                     "co_await g(1, h([&b, a](int x) { return a; }));", "co_await g([*this] { h(); });")
        self.allowed("co_await g([] { h(A{1}); });", "co_await g([&] { return a ? b : c; });",
                     "co_await g([this, &a, &b = c[1]](int x) -> int { A y{1}; return x; });", "co_await g(a[b]);",
                     "auto l = [a] { h(a); }; co_await g(l);", "h([a] { h(a); }); co_await g();",
                     "co_await g([](int x) -> std::pair<A, B> { return h(A{x}); });",
                     "spawn([](int x) -> Task<void> { co_await g(x); }, A{1});")

    def test_the_body_of_a_lambda_is_checked_on_its_own(self):
        self.refused(script.BRACES, "auto l = [](int x) -> Task<void> { co_await g(A{x}); };")

    def test_conditional_operators(self):
        self.refused(script.CHOICE, "co_await g(a ? b : c);", "auto r = a ? co_await g() : 0;")
        self.allowed("const auto x = a ? b : c; co_await g(x);")

    def test_co_await_inside_braces(self):
        self.refused(script.INSIDE, "A a{.x = co_await g()};", "co_return A{1, co_await g()};", "h(A{co_await g(), 2});")
        self.allowed("{ co_await g(); }", "switch (a) { case 1: { co_await g(); } }", "do { co_await g(); } while (a);",
                     "if (a) { co_await g(); } else { co_await h(); }", "auto l = []() -> A { co_await g(); };")

    def test_default_arguments(self):
        def found(declaration):
            return [what for _, what in script.check(declaration)]

        for declaration in ("Task<void> g(int a, A b = {});", "Task<Result<std::vector<int>>> C::g(const A& a = A{1}) {}",
                            "virtual dms::Task<int> g(A a = {}, int b = 1) = 0;"):
            self.assertEqual(found(declaration), [script.DEFAULT], declaration)
        for declaration in ("void g(A b = {});", "Task<void> g(A b = A(), int c = 1);", "Task<void> t = g(A{1});",
                            "struct S { Task<void> g(); A a = {}; };", "std::function<Task<void>(A)> g = {};"):
            self.assertEqual(found(declaration), [], declaration)

    def test_the_line_is_named(self):
        self.assertEqual(script.check('/* 1\n2 */ auto s = R"(\n3)";\n\nTask<void> f() {\n  co_await g(1,\n    A{1\'000});\n}'),
                         [(7, script.BRACES)])

    def test_expressions_that_span_lines(self):
        self.assertEqual(script.check("Task<void> f() {\n  co_await g([a](int x) {\n    return x;\n  });\n}"),
                         [(2, script.CAPTURE)])


if __name__ == "__main__":
    unittest.main()

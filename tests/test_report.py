"""Renderers: each is held to text written by hand."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnngrad as rg
from rnngrad.report import html, numbers, summary, text
from rnngrad.report import json as as_json
from rnngrad.report.table import columns, spread
from rnngrad.result import Diagnosis, Entry, Finding, GradientResult

FAIL, OPEN, PASS = rg.Verdict.FAIL, rg.Verdict.INCONCLUSIVE, rg.Verdict.PASS
X = GradientResult("x_t", PASS, (2,), (), (0,), -0.118734567, -0.118734567, 3e-16, 1e-16, 0.3, 2e-15)
LISTED = (Entry((0, 1), 0.3127, 0.6254, 4e-13), Entry((1, 2), 0.5000001, 0.5, 3e-13))
W = GradientResult(
    "W", FAIL, (2, 3), (), (0, 1), 0.3127, 0.6254, 4e-13, 0.3127, 7.8e11, 1.2e-12, wrong=6, examined=6, entries=LISTED
)
V = replace(W, name="V", worst_index=(1,), shape=(2,), wrong=1, examined=2, entries=LISTED[:1])
ALONG = replace(X, name="h", worst_index=None)
SPREAD = replace(W, name="u", worst_index=None, wrong=0, examined=0, entries=())
B = GradientResult("b", FAIL, (3,), (Finding(FAIL, "shape", "b", "b: db has shape (1,), expected (3,)"),))
K = GradientResult(
    "k", OPEN, (), (Finding(OPEN, "kink", "k", "k: forward has a kink here"),), (), 1.0, 0.5, 0.5, 0.5, 1.0, 5.0
)
EMPTY = GradientResult("e", PASS, (0, 2))


def report(*gradients, lead=None, verdict=PASS, case="Case(n=2, seed=0)", notes=()):
    return rg.Report(
        "cell", case, {"n": 2}, verdict, gradients, 41, "central differences", "rg.check(cell)", lead, notes
    )


def test_a_failure_is_laid_out_as_headline_table_and_replay():
    shown = text.render(
        report(X, ALONG, W, V, EMPTY, lead="W", verdict=FAIL, notes=("near this point forward raised",))
    )
    assert shown.split("\n") == [
        "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13; also wrong: V",
        "",
        "pair cell    case Case(n=2, seed=0)",
        "41 forward passes, central differences",
        "gradient  verdict  worst   backward    numeric ± bar     off by  would have seen",
        "x_t       pass     [0]     -0.11873    -0.11873 ± 3e-16  1e-16   2e-15",
        "h         pass     all     -0.11873    -0.11873 ± 3e-16  1e-16   2e-15",
        "W         FAIL     [0, 1]  0.3127      0.6254 ± 4e-13    3e-1    1e-12",
        "V         FAIL     [1]     0.3127      0.6254 ± 4e-13    3e-1    1e-12",
        "e         pass             no entries",
        "wrong      6 of 6 entries of W",
        "           [0, 1] backward 0.3127, numeric 0.6254 ± 4e-13",
        "           [1, 2] backward 0.5000001, numeric 0.5 ± 3e-13",
        "wrong      1 of 2 entries of V",
        "note       near this point forward raised",
        "replay     rg.check(cell)",
    ]


@pytest.mark.parametrize(
    ("gradient", "lines"),
    [
        (X, []),
        (ALONG, []),
        (SPREAD, []),
        (V, ["wrong      1 of 2 entries of V"]),
        (
            replace(V, wrong=2),
            ["wrong      2 of 2 entries of V", "           [0, 1] backward 0.3127, numeric 0.6254 ± 4e-13"],
        ),
        (replace(V, shape=(400,)), ["wrong      1 of 2 entries of V that were looked at"]),
    ],
)
def test_wrong_entries_are_counted_among_those_examined_and_listed_where_there_are_several(gradient, lines):
    assert text.wrong_entries(gradient) == lines


def test_a_finding_is_the_headline_of_its_gradient_and_is_said_once():
    shown = text.render(report(B, K, lead="b", verdict=FAIL, case=None))
    assert shown.split("\n") == [
        "b: db has shape (1,), expected (3,)",
        "",
        "pair cell    case the given arrays",
        "41 forward passes, central differences",
        "gradient  verdict       worst  backward  numeric ± bar  off by  would have seen",
        "b         FAIL",
        "k         inconclusive  all    1         0.5 ± 5e-1     5e-1    5e+0",
        "finding    k: forward has a kink here",
        "replay     rg.check(cell)",
    ]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (report(X, lead="x_t"), "cell: every gradient is right"),
        (report(), "cell: no gradient was judged"),
        (report(W, lead="W", verdict=FAIL), "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13"),
        (
            report(W, V, B, lead="V", verdict=FAIL),
            "V[1]: backward 0.3127, numeric 0.6254 ± 4e-13; also wrong: W, b",
        ),
        (report(X, K, lead="k", verdict=OPEN), "k: forward has a kink here"),
        (report(SPREAD, lead="u", verdict=FAIL), "u along a direction: backward 0.3127, numeric 0.6254 ± 4e-13"),
        (
            report(replace(W, worst_index=(), shape=(), bar=0.0), lead="W", verdict=FAIL),
            "W: backward 0.3127, numeric 0.6254 ± 0",
        ),
    ],
)
def test_the_headline_says_the_worst_thing_in_one_line(given, line):
    assert text.headline(given) == line


AVERAGED = Diagnosis("factor", "W", "dW is consistent with 1/N of the true gradient", 1e-16, "1/N of the true gradient")
LONG = Diagnosis("values", "W", "dW is right while " + "x is zero and " * 8 + "y is", None)


def test_diagnoses_are_shown_once_each_in_lines_under_their_label_and_the_best_one_in_the_headline():
    shown = text.render(
        report(replace(W, diagnoses=(AVERAGED, LONG)), replace(V, diagnoses=(AVERAGED,)), lead="W", verdict=FAIL)
    ).split("\n")
    assert shown[0] == "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13; 1/N of the true gradient"
    assert shown[-4:-1] == [
        "diagnosis  dW is consistent with 1/N of the true gradient",
        "diagnosis  dW is right while x is zero and x is zero and x is zero and x is zero",
        "           and x is zero and x is zero and x is zero and x is zero and y is",
    ]
    assert sum("1/N" in line for line in shown) == 2


def test_nothing_but_what_is_to_be_pasted_is_wider_than_a_terminal():
    said = "the cotangent is changed in place, " * 6
    open_one = replace(K, name="encoder.layers.norm1.gamma", findings=(Finding(OPEN, "kink", "k", said),))
    close = replace(W, backward=-0.12345678912e-5, numeric=-0.12345678913e-5, worst_index=(10, 11))
    path = "/a/" + "long/" * 20 + "name-of-a-file.py"
    given = report(open_one, close, V, B, EMPTY, lead="W", verdict=FAIL, notes=(f"it is in {path} and {said}",))
    lines = text.render(given).split("\n")
    assert {line for line in lines if len(line) > 80} == {f"           {path}"}
    assert lines[4:13] == [
        "gradient                    verdict       worst     off by  would have seen",
        "encoder.layers.norm1.gamma  inconclusive  all       5e-1    5e+0",
        "    backward 1, numeric 0.5 ± 5e-1",
        "W                           FAIL          [10, 11]  3e-1    1e-12",
        "    backward -1.2345678912e-06, numeric -1.2345678913e-06 ± 4e-13",
        "V                           FAIL          [1]       3e-1    1e-12",
        "    backward 0.3127, numeric 0.6254 ± 4e-13",
        "b                           FAIL",
        "e                           pass",
    ]


@pytest.mark.parametrize(
    ("others", "line"),
    [
        ((), "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13; 1/N of the true gradient"),
        (("long_name_a", "long_name_b"), "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13; twice; 2 more wrong"),
        (("V", "u"), "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13; twice; also wrong: V, u"),
        (("V", "u"), "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13; 1/N of the true gradient"),
    ],
)
def test_the_headline_names_the_others_that_are_wrong_where_there_is_room(others, line):
    brief = "twice" if "twice" in line else "1/N of the true gradient"
    lead = replace(W, diagnoses=(replace(AVERAGED, brief=brief),))
    given = report(lead, *(replace(V, name=name) for name in others), lead="W", verdict=FAIL)
    assert text.headline(given) == line


def test_a_diagnosis_that_does_not_fit_into_80_columns_of_the_headline_is_left_to_the_lines_below():
    long = replace(AVERAGED, brief="the derivative of tanh at s_next missing")
    headline = text.headline(report(replace(W, diagnoses=(long,)), lead="W", verdict=FAIL))
    assert headline == "W[0, 1]: backward 0.3127, numeric 0.6254 ± 4e-13"
    assert text.headline(report(replace(W, diagnoses=(LONG,)), lead="W", verdict=FAIL)) == headline


def test_the_page_holds_the_diagnoses():
    page = html.render(report(replace(W, diagnoses=(AVERAGED,)), lead="W", verdict=FAIL))
    assert "<li>dW is consistent with 1/N of the true gradient</li>" in page


def test_values_that_differ_late_are_shown_as_far_as_they_differ_only_where_that_is_wrong():
    close = replace(W, backward=0.123456789, numeric=0.123456788)
    assert text.shown(close) == ("0.123456789", "0.123456788")
    assert text.shown(replace(close, verdict=PASS)) == ("0.12346", "0.12346")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0"),
        (4e-13, "4e-13"),
        (1.6e-5, "2e-5"),
        (3.2e-100, "3e-100"),
        (0.3127, "3e-1"),
        (1.0, "1e+0"),
        (25e3, "2e+4"),
        (1e100, "1e+100"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_a_bar_is_written_with_one_digit(number, shown):
    assert numbers.bar(number) == shown


@pytest.mark.parametrize(
    ("number", "digits", "shown"),
    [(0.1187345, 5, "0.11873"), (-2.0, 5, "-2"), (123456.0, 2, "1.2e+05"), (float("nan"), 5, "nan")],
)
def test_a_value_is_written_to_so_many_digits(number, digits, shown):
    assert numbers.value(number, digits) == shown


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        (1.0, 1.0, ("1", "1")),
        (0.0, 0.0, ("0", "0")),
        (0.31271, 0.62542, ("0.31271", "0.62542")),
        (1.00000012345, 1.0, ("1.00000012", "1")),
        (1.0, 1.0 + 2**-52, ("1", "1.0000000000000002")),
        (float("nan"), 1.0000001, ("nan", "1")),
        (float("inf"), 1.0000001, ("inf", "1")),
    ],
)
def test_two_numbers_are_written_to_as_many_digits_as_tell_them_apart(left, right, shown):
    assert numbers.pairwise(left, right) == shown


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_two_numbers_look_the_same_only_where_they_are(left, right):
    shown = numbers.pairwise(left + 0.0, right + 0.0)  # + 0.0 makes a positive zero of a negative one
    assert (shown[0] == shown[1]) == (left == right)


@given(st.floats(0.1, 10.0), st.integers(-52, -4))
def test_neighbours_look_different(left, power):
    left_shown, right_shown = numbers.pairwise(left, left * (1 + 2.0**power))
    assert left_shown != right_shown


def test_columns_are_two_spaces_apart_without_trailing_blanks():
    assert columns([("name", "n"), ("x", ""), ("longer", "±1")]) == ["name    n", "x", "longer  ±1"]
    assert columns([]) == []


def test_json_holds_every_field_with_names_for_what_json_has_no_number():
    listed = (Entry((), 1.0, float("nan"), float("inf")),)
    open_one = replace(
        K, bar=float("inf"), numeric=float("nan"), error=float("-inf"), wrong=1, examined=1, entries=listed
    )
    open_one = replace(open_one, diagnoses=(Diagnosis("factor", "k", "k is 1/N", 1e-16),))
    given = replace(report(open_one, lead="k", verdict=OPEN, notes=("a note",)), sizes={"n": 2, "b": (1, 3)})
    assert json.loads(as_json.render(given)) == {
        "pair": "cell",
        "case": "Case(n=2, seed=0)",
        "sizes": {"n": 2, "b": [1, 3]},
        "verdict": "inconclusive",
        "gradients": [
            {
                "name": "k",
                "verdict": "inconclusive",
                "shape": [],
                "findings": [
                    {
                        "verdict": "inconclusive",
                        "kind": "kink",
                        "gradient": "k",
                        "message": "k: forward has a kink here",
                        "breach": False,
                    }
                ],
                "worst_index": [],
                "backward": 1.0,
                "numeric": "nan",
                "bar": "inf",
                "error": "-inf",
                "ratio": 1.0,
                "resolution": 5.0,
                "wrong": 1,
                "examined": 1,
                "entries": [{"index": [], "backward": 1.0, "numeric": "nan", "bar": "inf", "part": ""}],
                "worst_part": "",
                "diagnoses": [
                    {
                        "kind": "factor",
                        "gradient": "k",
                        "message": "k is 1/N",
                        "residual": 1e-16,
                        "brief": "",
                    }
                ],
            }
        ],
        "evaluations": 41,
        "method": "central differences",
        "replay": "rg.check(cell)",
        "lead": "k",
        "notes": ["a note"],
        "findings": [],
    }


class Page(HTMLParser):
    """Collect the tags, the table and the text of a page."""

    VOID = ("meta", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.rows, self.classes = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.classes += [(tag, value) for key, value in attrs if key == "class"]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_the_page_is_well_formed_with_a_row_for_each_gradient():
    page = Page(html.render(report(X, W, lead="W", verdict=FAIL)))
    assert page.open == []
    assert page.rows == [
        ["gradient", "verdict", "worst", "backward", "numeric ± bar", "off by", "would have seen"],
        ["x_t", "pass", "[0]", "-0.11873", "-0.11873 ± 3e-16", "1e-16", "2e-15"],
        ["W", "FAIL", "[0, 1]", "0.3127", "0.6254 ± 4e-13", "3e-1", "1e-12"],
    ]
    assert page.classes == [("h1", "FAIL"), ("div", "scroll"), ("td", "pass"), ("td", "FAIL")]


def test_the_page_holds_headline_subject_findings_notes_and_replay():
    page = html.render(report(B, K, lead="b", verdict=FAIL, notes=("a note",)))
    assert "<title>cell: FAIL</title>" in page
    assert '<h1 class="FAIL">b: db has shape (1,), expected (3,)</h1>' in page
    assert "<p>pair cell    case Case(n=2, seed=0)<br>41 forward passes, central differences</p>" in page
    assert (
        "<ul><li>b: db has shape (1,), expected (3,)</li><li>k: forward has a kink here</li><li>a note</li></ul>"
        in page
    )
    assert "<pre>rg.check(cell)</pre>" in page


def test_the_page_lists_the_wrong_entries():
    page = html.render(report(X, W, V, lead="W", verdict=FAIL))
    assert "\n".join([*text.wrong_entries(W), *text.wrong_entries(V)]) in page


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing():
    page = html.render(report(X, W, lead="W", verdict=FAIL))
    assert not {"script", "link", "img", "iframe"} & set(Page(page).tags)
    assert "http" not in page
    assert "url(" not in page


def test_the_page_escapes_what_users_named():
    nasty = "<script>&\"'"
    finding = Finding(FAIL, "none", nasty, nasty)
    one = replace(W, name=nasty, findings=(finding,))
    given = replace(report(one, lead=nasty, verdict=FAIL, case=nasty, notes=(nasty,)), pair=nasty, replay=nasty)
    page = html.render(given)
    assert "script" not in Page(page).tags
    assert page.count("&lt;script&gt;&amp;&quot;&#x27;") == 9


ROW = {"pass": 90, "inconclusive": 8, "FAIL": 2, "ratio": 0.1234, "resolution": 2e-15}
TALLY = {
    "pair": "cell",
    "examples": 100,
    "evaluations": 4150,
    "sizes": {"m": [1, 6], "n": [2, 2], "b": [(), (3, 1)]},
    "gradients": {"x_t": ROW, "W": ROW | {"inconclusive": 0, "FAIL": 0, "ratio": 0.0, "resolution": 0.0}},
}
BARE = {"pair": "bare", "examples": 0, "evaluations": 0, "sizes": {}, "gradients": {}}
ONCE = BARE | {"pair": "once", "examples": 1, "evaluations": 83}


def test_the_summary_is_a_table_for_each_pair():
    assert summary.text([TALLY, ONCE, BARE]).split("\n") == [
        "pair cell    100 examples    41.5 forward passes each    m 1-6, n 2, b ()-(3, 1)",
        "gradient  decided  inconclusive  failed  error/bar  would have seen",
        "x_t       92       8             2       0.12       2e-15",
        "W         90       0             0       0          0",
        "",
        "pair once    1 example    83 forward passes each",
        "gradient  decided  inconclusive  failed  error/bar  would have seen",
        "",
        "pair bare    0 examples    0 forward passes each",
        "gradient  decided  inconclusive  failed  error/bar  would have seen",
    ]


def test_the_summary_as_markdown_has_the_same_cells():
    assert summary.markdown([TALLY, BARE]).split("\n") == [
        "**pair cell    100 examples    41.5 forward passes each    m 1-6, n 2, b ()-(3, 1)**",
        "",
        "| gradient | decided | inconclusive | failed | error/bar | would have seen |",
        "| --- | --- | --- | --- | --- | --- |",
        "| x_t | 92 | 8 | 2 | 0.12 | 2e-15 |",
        "| W | 90 | 0 | 0 | 0 | 0 |",
        "",
        "**pair bare    0 examples    0 forward passes each**",
        "",
        "| gradient | decided | inconclusive | failed | error/bar | would have seen |",
        "| --- | --- | --- | --- | --- | --- |",
        "",
    ]


BROKEN = TALLY | {"breaches": {"linear": 2, "alias": 1}}


def test_the_summary_as_markdown_shows_names_as_they_are():
    named = TALLY | {"pair": "<lambda>", "gradients": {"a|b<i>*_[x](y)_z_t": TALLY["gradients"]["W"]}}
    lines = summary.markdown([named]).split("\n")
    assert lines[0].startswith(r"**pair \<lambda\>    100 examples")
    assert lines[-2] == r"| a\|b\<i\>\*\_\[x\](y)\_z_t | 90 | 0 | 0 | 0 | 0 |"


def test_the_summary_counts_the_breaches_by_kind():
    said = "contract broken: alias in 1, linear in 2"
    assert summary.text([BROKEN]).split("\n") == [*summary.text([TALLY]).split("\n"), said]
    assert summary.markdown([BROKEN]) == summary.markdown([TALLY]) + f"\n{said}\n"


def test_breaches_are_told_apart_from_other_findings_in_text_and_html():
    breach = Finding(FAIL, "cotangent", "", "backward changes its cotangent dout in place", breach=True)
    alias = Finding(FAIL, "alias", "x_t", "x_t: dx_t shares memory with dh", breach=True)
    aliased = replace(X, verdict=FAIL, findings=(alias,))
    both = replace(report(aliased, K, verdict=FAIL), findings=(breach,))
    lines = text.render(both).split("\n")
    assert lines[0] == breach.message
    assert "contract   x_t: dx_t shares memory with dh" in lines
    assert "finding    k: forward has a kink here" in lines
    assert both.breaches == (breach, alias)
    page = html.render(both)
    assert "<li>contract: backward changes its cotangent dout in place</li>" in page
    assert "<li>k: forward has a kink here</li>" in page
    assert json.loads(as_json.render(both))["findings"][0]["breach"] is True


def test_a_line_that_is_full_goes_on_in_an_indented_one_and_no_part_is_cut():
    parts = ["pair " + "a" * 40, "b" * 31, "c" * 90, "d"]
    assert spread(parts) == ["pair " + "a" * 40 + "    " + "b" * 31, "    " + "c" * 90, "    d"]
    assert spread(parts[:1]) == parts[:1]

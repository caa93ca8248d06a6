"""A page is taken apart into sections and blocks."""

from __future__ import annotations

from temporal_lint import pages, rules

TEXT = """Something is wrong.

## What
Says so.

## Why
It bites.

## Invalid
```python
# file: app/a.py
## not a heading
x = 1  # expect
# file: app/b.py
y = 1  # expect: other-rule, this-rule
z = 1  # expected
```
And another:
```python
q = 1  # expect
```
```text
no code
```

## Valid
```python
x = 2
```
"""


def test_page() -> None:
    page = pages.Page.parse(TEXT)
    assert page.title == "Something is wrong"
    assert list(page.sections) == ["What", "Why", "Invalid", "Valid"]
    assert page.prose == "Says so.\n\nIt bites."
    first, second = page.blocks("Invalid")
    assert first.files == {"app/a.py": "## not a heading\nx = 1\n", "app/b.py": "y = 1\nz = 1  # expected\n"}
    assert first.expected == (("app/a.py", 2, ""), ("app/b.py", 1, "other-rule"), ("app/b.py", 1, "this-rule"))
    assert second.files == {"app.py": "q = 1\n"} and second.expected == (("app.py", 1, ""),)
    assert [block.expected for block in page.blocks("Valid")] == [()]
    assert page.blocks("Fixed") == []


def test_markdown_of_every_rule_starts_with_its_name() -> None:
    for rule in rules.load():
        assert pages.markdown(rule).startswith(f"# {rule.name} ({rule.code})\n")

"""The table of faults names tests that exist."""

import re
from pathlib import Path

import tests.faults as catalogue

TESTS = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^ ?(\d+) .*? ([a-z]+/[a-z_]+): (\w+)$", re.MULTILINE)


def test_each_fault_has_its_test() -> None:
    rows = ROW.findall(catalogue.__doc__ or "")
    numbers = [int(number) for number, _module, _name in rows]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, numbers[-1] + 1))
    assert len(set(numbers)) >= 37
    for number, module, name in rows:
        text = (TESTS / f"{module}.py").read_text()
        assert re.search(rf"def (test_)?{name}", text), f"fault {number}: {module} has no test {name}..."

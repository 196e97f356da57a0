"""Run all benchmarks: ``make bench``."""

from ml_assets_tests.benchmarks import (
    bootstrap,
    code_location,
    contract,
    declared,
    default_project,
    drift,
    estimators,
    idle,
    spine,
    ten_years,
    training,
    year,
)

if __name__ == "__main__":
    code_location.main()
    declared.main()
    contract.main()
    year.main()
    spine.main()
    bootstrap.main()
    training.main()
    drift.main()
    ten_years.main()
    idle.main()
    estimators.main()
    default_project.main()

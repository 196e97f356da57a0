"""Run all benchmarks: ``make bench``."""

from ml_assets_tests.benchmarks import code_location, contract, spine, year

if __name__ == "__main__":
    code_location.main()
    contract.main()
    year.main()
    spine.main()

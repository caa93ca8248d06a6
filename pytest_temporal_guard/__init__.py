"""A pytest plugin that runs an application's workflows and asserts what no linter can see."""

"""Many runs from one YAML file: planned, run by workers, and told as one report."""

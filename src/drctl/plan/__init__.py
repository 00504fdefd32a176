"""What would happen: runbook, environment, inputs and a read-only look make a frozen plan."""

"""The estate, built through the same doors that anybody's infrastructure code uses."""

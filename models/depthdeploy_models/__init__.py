"""Networks that come with depthdeploy."""

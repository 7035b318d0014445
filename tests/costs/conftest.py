"""The trees here are added to copies of the repository; in this one they are data."""

collect_ignore = ["network", "operation"]

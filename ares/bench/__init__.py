"""`ares bench`: what a network costs, in time, instructions and bytes, on chosen targets and beside other runtimes."""

"""What is agreed on: values and rules.  No input or output, no clock, no randomness."""

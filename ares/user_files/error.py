"""What is wrong with what a user gave."""


class UserInputError(Exception):
    """A file, an input or a model of the user's that cannot be used; the message is one line and says what to do."""

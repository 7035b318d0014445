"""One module a generated file: `PATH` in the repository, and `content(root, current)`, its new text.

`root` is the checkout that is read, `current` the text that the file has now, empty where there is none.
"""

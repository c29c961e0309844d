"""How fast a tree gets onto a server, side by side with the tools that people use. See README.rst."""

"""`python -m interlock.demo`: an agent at a support desk is attacked through its mail, without Interlock and with it.

world    what there is: a database, mail, files, passwords, a page on loopback; made anew for each act
tools    what the agent can do with it, as plain functions
agent    the loop: a model, and either Interlock or nothing between it and the tools
script   the model that stands in where there is no key: it obeys everything it reads
story    the six acts, each judged by what is on the disk afterwards
stage    how it is printed
"""

# The verb that makes a project of one's own: part of the Makefile of the template alone.

# only what was given to make: an environment may have a NAME of its own
given = $(if $(filter command,$(firstword $(origin $(1)))),--$(2) "$$$(1)")

.PHONY: new

new: ## make a project of your own: NAME=my_study DEST=../my-study DESCRIPTION=... EXAMPLES=no
	@$(PYTHON) template/new.py $(call given,NAME,name) $(call given,DEST,dest) \
		$(call given,DESCRIPTION,description) $(call given,EXAMPLES,examples)

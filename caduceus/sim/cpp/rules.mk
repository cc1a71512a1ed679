# Rules for Verilator's makefiles, which leave theirs out with VM_DEFAULT_RULES=0. Theirs precompile
# two headers for every design, which takes longer than its few files gain from it.
%.o: %.cpp
	$(OBJCACHE) $(CXX) $(if $(filter $@,$(VK_OBJS_SLOW)),$(OPT_SLOW),$(if $(filter $@,$(VK_GLOBAL_OBJS)),$(OPT_GLOBAL),$(OPT_FAST))) $(CXXFLAGS) $(CPPFLAGS) -c -o $@ $<

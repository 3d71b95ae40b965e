package io.ucp.formats.torch.pickle;

/// The name of a class or function that Python would import. Never resolved.
///
/// @param module as written: `__builtin__` in protocol 2, `builtins` from protocol 3
/// @param name qualified, `Outer.Inner` for a nested class
public record PyGlobal(String module, String name) implements PickleValue {

    /// Whether this is `module.name`, the two names of the builtins module taken as one.
    public boolean is(String otherModule, String otherName) {
        return name.equals(otherName) && modern(module).equals(modern(otherModule));
    }

    private static String modern(String module) {
        return module.equals("__builtin__") ? "builtins" : module;
    }

    /// `collections.OrderedDict`.
    @Override
    public String toString() {
        return module + "." + name;
    }
}

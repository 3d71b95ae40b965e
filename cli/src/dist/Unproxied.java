import picocli.CommandLine;

import java.io.File;
import java.io.IOException;
import java.lang.annotation.Annotation;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.CodeElement;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.constant.ClassDesc;
import java.lang.constant.MethodTypeDesc;
import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarFile;
import java.util.spi.ToolProvider;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Gives picocli the annotations of ucp's commands as records.
///
/// The JDK reads an annotation into a proxy whose class it makes anew at every start, which was the
/// longest part of a light command (docs/decisions/0003). So `ucp.jar` gets a class, written here
/// from the annotations themselves, that holds them as records; and the six places where picocli
/// asks the JDK for an annotation ask that class.
final class Unproxied {
    private static final String PACKAGE = "io.ucp.cli";
    private static final String NAME = "DeclaredCommands";

    private static final String HEAD =
            """
            package %s;

            import java.lang.annotation.Annotation;
            import java.lang.reflect.*;
            import java.util.HashMap;
            import java.util.Map;

            @SuppressWarnings("unchecked") // classes in attributes
            public final class %s {
                private static final Map<AnnotatedElement, Annotation> READ = new HashMap<>();

                public static boolean isAnnotationPresent(AnnotatedElement element, Class<? extends Annotation> type) {
                    return getAnnotation(element, type) != null;
                }

                public static Annotation getAnnotation(AnnotatedElement element, Class<? extends Annotation> type) {
                    Class<?> owner = element instanceof Class<?> c ? c : element instanceof Member m ? m.getDeclaringClass() : null;
                    if (owner == null || !owner.getName().startsWith("java.") && !owner.getName().startsWith("%1$s.")) {
                        return element.getAnnotation(type);
                    }
                    Annotation annotation = READ.computeIfAbsent(element, e -> of(owner.getName(), e instanceof Field f ? f.getName() : e == owner ? "" : "()"));
                    return type.isInstance(annotation) ? annotation : null;
                }

                private static <T> Class<T> type(String name) {
                    try {
                        return (Class<T>) Class.forName(name, false, %2$s.class.getClassLoader());
                    } catch (ClassNotFoundException e) {
                        throw new IllegalStateException(e);
                    }
                }
            """
                    .formatted(PACKAGE, NAME);

    private final Set<Class<? extends Annotation>> types =
            new TreeSet<>(Comparator.comparing(Class::getName));
    private final StringBuilder source = new StringBuilder(HEAD);

    private Unproxied() {}

    /// Adds the class to the jar that holds ucp's commands.
    ///
    /// @param folder for what is made on the way
    static void add(Path jar, Path folder, FileTime time) throws IOException {
        Path text =
                Files.createDirectories(folder.resolve(PACKAGE.replace('.', '/')))
                        .resolve(NAME + ".java");
        Files.writeString(text, new Unproxied().source(jar));
        String[] javac = {
            "--release",
            "25",
            "-nowarn",
            "-Xlint:none",
            "-proc:none",
            "-d",
            folder.toString(),
            "-cp",
            System.getProperty("java.class.path") + File.pathSeparator + jar,
            text.toString()
        };
        run("javac", javac);
        Files.delete(text);
        run(
                "jar",
                "--update",
                "--date=" + time,
                "--file",
                jar.toString(),
                "-C",
                folder.toString(),
                ".");
    }

    /// picocli's class with its questions to the JDK turned to the class that [#add] makes.
    static byte[] redirected(byte[] picocli) {
        ClassDesc declared = ClassDesc.of(PACKAGE, NAME);
        CodeTransform calls =
                (CodeBuilder code, CodeElement element) -> {
                    if (element instanceof InvokeInstruction call && asksTheJdk(call)) {
                        MethodTypeDesc type = call.typeSymbol();
                        code.invokestatic(
                                declared,
                                call.name().stringValue(),
                                type.insertParameterTypes(
                                        0, ClassDesc.of(AnnotatedElement.class.getName())));
                    } else {
                        code.with(element);
                    }
                };
        ClassFile file = ClassFile.of();
        return file.transformClass(
                file.parse(picocli), ClassTransform.transformingMethodBodies(calls));
    }

    private static boolean asksTheJdk(InvokeInstruction call) {
        String name = call.name().stringValue();
        return call.owner().asInternalName().startsWith("java/lang/")
                && (name.equals("getAnnotation") || name.equals("isAnnotationPresent"));
    }

    private String source(Path jar) throws IOException {
        Map<String, Map<String, String>> declared = new TreeMap<>();
        for (Class<?> owner : classes(jar)) {
            Map<String, String> members = new TreeMap<>();
            read(owner, "", members);
            for (Field field : owner.getDeclaredFields()) {
                read(field, field.getName(), members);
            }
            for (Method method : owner.getDeclaredMethods()) {
                if (!annotations(method).isEmpty()) {
                    throw new IllegalStateException(method + " is annotated; expected fields only");
                }
            }
            if (!members.isEmpty()) {
                declared.put(owner.getName(), members);
            }
        }
        types.forEach(this::record);
        List<String> owners = List.copyOf(declared.keySet());
        choice("Annotation of(String owner, String member)", "owner", owners, "of%d(member)");
        for (int k = 0; k < owners.size(); k++) {
            Map<String, String> members = declared.get(owners.get(k));
            line("    private static Annotation of%d(String member) {".formatted(k));
            line("        return switch (member) {");
            members.forEach(
                    (m, value) -> line("            case %s -> %s;".formatted(quoted(m), value)));
            line("            default -> null;\n        };\n    }");
        }
        return source.append("}\n").toString();
    }

    private void choice(String method, String of, List<String> cases, String then) {
        line("    private static %s {\n        return switch (%s) {".formatted(method, of));
        for (int k = 0; k < cases.size(); k++) {
            line("            case %s -> %s;".formatted(quoted(cases.get(k)), then.formatted(k)));
        }
        line("            default -> null;\n        };\n    }");
    }

    private void read(AnnotatedElement element, String member, Map<String, String> members) {
        for (Annotation annotation : annotations(element)) {
            types.add(annotation.annotationType());
            String arguments =
                    attributes(annotation.annotationType()).stream()
                            .map(attribute -> literal(value(annotation, attribute)))
                            .collect(Collectors.joining(", "));
            String created =
                    "new %s(%s)".formatted(annotation.annotationType().getSimpleName(), arguments);
            if (members.put(member, created) != null) {
                throw new IllegalStateException(
                        element + " has several annotations of picocli; expected one");
            }
        }
    }

    private void record(Class<? extends Annotation> type) {
        line(
                "    private record %s(%s) implements %s {"
                        .formatted(
                                type.getSimpleName(),
                                attributes(type).stream()
                                        .map(
                                                a ->
                                                        name(a.getGenericReturnType())
                                                                + " "
                                                                + a.getName())
                                        .collect(Collectors.joining(", ")),
                                type.getCanonicalName()));
        line("        public Class<? extends Annotation> annotationType() {");
        line("            return %s.class;\n        }\n    }".formatted(type.getCanonicalName()));
    }

    private void line(String text) {
        source.append(text).append('\n');
    }

    private static List<Class<?>> classes(Path jar) throws IOException {
        List<Class<?>> classes = new ArrayList<>();
        try (JarFile file = new JarFile(jar.toFile())) {
            for (String entry : file.stream().map(e -> e.getName()).sorted().toList()) {
                if (entry.endsWith(".class")) {
                    String name = entry.substring(0, entry.length() - ".class".length());
                    classes.add(
                            Class.forName(
                                    name.replace('/', '.'),
                                    false,
                                    CommandLine.class.getClassLoader()));
                }
            }
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
        return classes;
    }

    private static List<Annotation> annotations(AnnotatedElement element) {
        return Stream.of(element.getDeclaredAnnotations())
                .filter(a -> a.annotationType().getEnclosingClass() == CommandLine.class)
                .toList();
    }

    private static List<Method> attributes(Class<? extends Annotation> type) {
        return Arrays.stream(type.getDeclaredMethods())
                .sorted(Comparator.comparing(Method::getName))
                .toList();
    }

    private static Object value(Annotation annotation, Method attribute) {
        try {
            return attribute.invoke(annotation);
        } catch (IllegalAccessException | InvocationTargetException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String literal(Object value) {
        return switch (value) {
            case String text -> quoted(text);
            case Boolean flag -> flag.toString();
            case Integer number -> number.toString();
            case Character one -> "(char) " + (int) one;
            case Enum<?> constant ->
                    constant.getDeclaringClass().getCanonicalName() + "." + constant.name();
            case Class<?> type when type.isPrimitive() -> type.getName() + ".class";
            case Class<?> type -> "type(" + quoted(type.getName()) + ")";
            case Object array when array.getClass().isArray() ->
                    Stream.iterate(0, k -> k < Array.getLength(array), k -> k + 1)
                            .map(k -> literal(Array.get(array, k)))
                            .collect(
                                    Collectors.joining(
                                            ", ",
                                            "new %s[] {"
                                                    .formatted(
                                                            array.getClass()
                                                                    .getComponentType()
                                                                    .getCanonicalName()),
                                            "}"));
            default -> throw new IllegalStateException("an attribute of " + value.getClass());
        };
    }

    private static String quoted(String text) {
        StringBuilder literal = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                literal.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                literal.append("\\u%04x".formatted((int) c));
            } else {
                literal.append(c);
            }
        }
        return literal.append('"').toString();
    }

    private static String name(java.lang.reflect.Type type) {
        return type.getTypeName().replace('$', '.');
    }

    private static void run(String tool, String... arguments) {
        if (ToolProvider.findFirst(tool).orElseThrow().run(System.out, System.err, arguments)
                != 0) {
            throw new IllegalStateException(tool + " " + String.join(" ", arguments) + " failed");
        }
    }
}

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFile.ClassHierarchyResolverOption;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassModel;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.CodeElement;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.Opcode;
import java.lang.classfile.TypeKind;
import java.lang.classfile.instruction.InvokeDynamicInstruction;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.DirectMethodHandleDesc;
import java.lang.constant.MethodTypeDesc;
import java.lang.reflect.AccessFlag;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.jar.JarEntry;
import java.util.jar.JarInputStream;
import java.util.jar.JarOutputStream;
import java.util.zip.ZipEntry;

/// Replaces, in the jars that the launcher runs, call sites that the JVM would link anew at every
/// start by plain methods that do the same: switches over types (`SwitchBootstraps.typeSwitch`) and
/// `equals` and `hashCode` of records (`ObjectMethods`). The start-up cache of JDK 25 holds lambdas
/// and string concatenations, but not these (docs/decisions/0003).
final class Unbootstrapped {
    private static final ClassDesc SWITCHES = ClassDesc.of("java.lang.runtime.SwitchBootstraps");
    private static final ClassDesc RECORDS = ClassDesc.of("java.lang.runtime.ObjectMethods");
    private static final ClassDesc OBJECTS = ClassDesc.of("java.util.Objects");

    private final ClassFile file =
            ClassFile.of(
                    ClassHierarchyResolverOption.of(
                            ClassHierarchyResolver.ofResourceParsing(
                                    ClassLoader.getSystemClassLoader())));

    /// A method to add to a class.
    private record Added(String name, MethodTypeDesc type, Consumer<CodeBuilder> body) {}

    /// Rewrites a jar in place; the order and the other contents of its entries stay.
    static void rewrite(Path jar, FileTime time) throws IOException {
        Path made = jar.resolveSibling(jar.getFileName() + ".made");
        try (JarInputStream in = new JarInputStream(Files.newInputStream(jar));
                OutputStream out = Files.newOutputStream(made);
                JarOutputStream to = new JarOutputStream(out)) {
            Unbootstrapped unbootstrapped = new Unbootstrapped();
            if (in.getManifest() != null) {
                entry(to, "META-INF/MANIFEST.MF", time);
                in.getManifest().write(to);
            }
            for (JarEntry next = in.getNextJarEntry(); next != null; next = in.getNextJarEntry()) {
                entry(to, next.getName(), time);
                to.write(unbootstrapped.content(next.getName(), in));
            }
        }
        Files.move(made, jar, StandardCopyOption.REPLACE_EXISTING);
    }

    private static void entry(JarOutputStream to, String name, FileTime time) throws IOException {
        ZipEntry entry = new ZipEntry(name);
        entry.setLastModifiedTime(time);
        to.putNextEntry(entry);
    }

    private byte[] content(String name, InputStream in) throws IOException {
        byte[] bytes = in.readAllBytes();
        return name.endsWith(".class") ? rewritten(file.parse(bytes), bytes) : bytes;
    }

    private byte[] rewritten(ClassModel model, byte[] bytes) {
        ClassDesc self = model.thisClass().asSymbol();
        boolean isInterface = model.flags().has(AccessFlag.INTERFACE);
        List<Added> added = new ArrayList<>();
        CodeTransform calls =
                (CodeBuilder code, CodeElement element) -> {
                    Added method =
                            element instanceof InvokeDynamicInstruction call
                                    ? replacement(call, added.size())
                                    : null;
                    if (method == null) {
                        code.with(element);
                    } else {
                        added.add(method);
                        code.invokestatic(self, method.name(), method.type(), isInterface);
                    }
                };
        byte[] changed =
                file.transformClass(
                        model,
                        ClassTransform.transformingMethodBodies(calls)
                                .andThen(
                                        ClassTransform.endHandler(
                                                to ->
                                                        added.forEach(
                                                                m ->
                                                                        to.withMethodBody(
                                                                                m.name(),
                                                                                m.type(),
                                                                                ClassFile
                                                                                                .ACC_PRIVATE
                                                                                        | ClassFile
                                                                                                .ACC_STATIC
                                                                                        | ClassFile
                                                                                                .ACC_SYNTHETIC,
                                                                                m.body())))));
        return added.isEmpty() ? bytes : changed;
    }

    /// @return null for a call that stays as it is
    private static Added replacement(InvokeDynamicInstruction call, int number) {
        DirectMethodHandleDesc bootstrap = call.bootstrapMethod();
        String name = call.name().stringValue();
        MethodTypeDesc type = call.typeSymbol();
        List<ConstantDesc> arguments = call.bootstrapArgs();
        if (bootstrap.owner().equals(SWITCHES)
                && bootstrap.methodName().equals("typeSwitch")
                && arguments.stream().allMatch(ClassDesc.class::isInstance)) {
            List<ClassDesc> labels = arguments.stream().map(ClassDesc.class::cast).toList();
            return new Added("typeSwitch$" + number, type, code -> typeSwitch(code, labels));
        }
        if (bootstrap.owner().equals(RECORDS) && !name.equals("toString")) {
            List<DirectMethodHandleDesc> fields =
                    arguments.stream().skip(2).map(DirectMethodHandleDesc.class::cast).toList();
            ClassDesc record = (ClassDesc) arguments.getFirst();
            return new Added(
                    name + "$" + number,
                    type,
                    name.equals("equals")
                            ? code -> equals(code, record, fields)
                            : code -> hashCode(code, record, fields));
        }
        return null;
    }

    /// The number of the first label from `restart` on that the object is an instance of; -1 for
    /// null, the number of labels for none.
    private static void typeSwitch(CodeBuilder code, List<ClassDesc> labels) {
        code.aload(0);
        code.ifThen(Opcode.IFNULL, isNull -> isNull.iconst_m1().ireturn());
        for (int k = 0; k < labels.size(); k++) {
            int label = k;
            code.loadConstant(label).iload(1);
            code.ifThen(
                    Opcode.IF_ICMPGE,
                    late -> {
                        late.aload(0).instanceOf(labels.get(label));
                        late.ifThen(is -> is.loadConstant(label).ireturn());
                    });
        }
        code.loadConstant(labels.size()).ireturn();
    }

    private static void equals(
            CodeBuilder code, ClassDesc record, List<DirectMethodHandleDesc> fields) {
        code.aload(0).aload(1);
        code.ifThen(Opcode.IF_ACMPEQ, same -> same.iconst_1().ireturn());
        code.aload(1).instanceOf(record);
        code.ifThen(Opcode.IFEQ, other -> other.iconst_0().ireturn());
        for (DirectMethodHandleDesc field : fields) {
            ClassDesc type = field.invocationType().returnType();
            code.aload(0).getfield(record, field.methodName(), type);
            code.aload(1).checkcast(record).getfield(record, field.methodName(), type);
            if (type.isPrimitive()) {
                ClassDesc box = box(type);
                code.invokestatic(
                        box, "compare", MethodTypeDesc.of(ConstantDescs.CD_int, type, type));
                code.ifThen(Opcode.IFNE, not -> not.iconst_0().ireturn());
            } else {
                code.invokestatic(
                        OBJECTS,
                        "equals",
                        MethodTypeDesc.of(
                                ConstantDescs.CD_boolean,
                                ConstantDescs.CD_Object,
                                ConstantDescs.CD_Object));
                code.ifThen(Opcode.IFEQ, not -> not.iconst_0().ireturn());
            }
        }
        code.iconst_1().ireturn();
    }

    private static void hashCode(
            CodeBuilder code, ClassDesc record, List<DirectMethodHandleDesc> fields) {
        code.iconst_0();
        for (DirectMethodHandleDesc field : fields) {
            ClassDesc type = field.invocationType().returnType();
            code.bipush(31).imul();
            code.aload(0).getfield(record, field.methodName(), type);
            code.invokestatic(
                    type.isPrimitive() ? box(type) : OBJECTS,
                    "hashCode",
                    MethodTypeDesc.of(
                            ConstantDescs.CD_int,
                            type.isPrimitive() ? type : ConstantDescs.CD_Object));
            code.iadd();
        }
        code.ireturn();
    }

    private static ClassDesc box(ClassDesc primitive) {
        return switch (TypeKind.from(primitive)) {
            case BOOLEAN -> ConstantDescs.CD_Boolean;
            case BYTE -> ConstantDescs.CD_Byte;
            case CHAR -> ConstantDescs.CD_Character;
            case SHORT -> ConstantDescs.CD_Short;
            case INT -> ConstantDescs.CD_Integer;
            case LONG -> ConstantDescs.CD_Long;
            case FLOAT -> ConstantDescs.CD_Float;
            case DOUBLE -> ConstantDescs.CD_Double;
            case REFERENCE, VOID -> throw new IllegalArgumentException(primitive.toString());
        };
    }
}

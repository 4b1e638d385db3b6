import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.nio.file.Paths;

/** The classes in several class loaders at once, as after ImageJ's "Refresh Menus". */
public final class Loaders {
    private Loaders() {}

    /** Arguments: the jar of the API, a saved model. */
    public static void main(String[] arguments) throws Exception {
        URL jar = Paths.get(arguments[0]).toUri().toURL();
        Object[] models = new Object[3];
        for (int i = 0; i < models.length; i++) {
            URLClassLoader loader = new URLClassLoader(new URL[] {jar}, ClassLoader.getPlatformClassLoader());
            Class<?> cinetomo = loader.loadClass("org.cinetomo.Cinetomo");
            Object context = cinetomo.getConstructor().newInstance();
            models[i] = cinetomo.getMethod("modelLoad", Path.class).invoke(context, Paths.get(arguments[1]));
            if (i > 0 && models[i].getClass() == models[i - 1].getClass()) {
                throw new AssertionError("one class loader for all");
            }
        }
        String first = classes(models[0]);
        for (Object model : models) {
            if (!classes(model).equals(first)) {
                throw new AssertionError(classes(model) + " is not " + first);
            }
        }
        for (int i = 0; i < 5; i++) {
            System.gc();
        }
        if (!classes(models[2]).equals(first)) {
            throw new AssertionError("the last one changed");
        }
        System.out.println("ok");
    }

    private static String classes(Object model) throws Exception {
        Method info = model.getClass().getMethod("info");
        Object found = info.invoke(model);
        return String.join(",", (String[]) found.getClass().getField("classNames").get(found));
    }
}

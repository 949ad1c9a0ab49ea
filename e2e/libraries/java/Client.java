import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * A client of Socket.IO's Java library, 1.x and 2.x. It does what the lines of its input ask for and tells what happens
 * in lines of its output, as all programs of this folder do (../../libraries_test.go).
 */
public class Client {
  private static Socket socket;

  public static void main(String[] arguments) throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line; (line = lines.readLine()) != null; ) {
      var ask = new JSONObject(line);
      switch (ask.getString("do")) {
        case "connect" -> connect(ask);
        case "emit" -> emit(ask);
        case "disconnect" -> socket.disconnect();
      }
    }
    System.exit(0);
  }

  private static void connect(JSONObject ask) throws Exception {
    var options = new IO.Options();
    options.forceNew = true;
    options.reconnectionDelay = 100;
    options.reconnectionDelayMax = 500;
    if (ask.has("transports")) {
      options.transports = Arrays.stream(objects(ask.getJSONArray("transports"))).toArray(String[]::new);
    }
    if (ask.has("query")) {
      var query = map(ask.getJSONObject("query"));
      options.query = query.entrySet().stream().map(e -> e.getKey() + "=" + e.getValue()).collect(Collectors.joining("&"));
    }
    if (ask.has("auth")) IO.Options.class.getField("auth").set(options, map(ask.getJSONObject("auth"))); // 2.x has it
    socket = IO.socket(ask.getString("url"), options);
    socket.on(Socket.EVENT_CONNECT, args -> {
      say("connect", null);
      if (ask.has("token")) {
        var token = new JSONObject(Map.of("token", ask.optString("token")));
        socket.emit("authentication", token, (Ack) answer -> say("authenticated", null, answer));
      }
    });
    for (var event : new String[] {
      "disconnect", "connect_error", "error", "owt-message", "server-authenticated", "server-disconnect", "server-refused"
    }) socket.on(event, args -> say(event, null, args));
    socket.connect();
  }

  private static void emit(JSONObject ask) throws JSONException {
    var id = ask.getString("id");
    socket.emit(ask.getString("name"), objects(ask.getJSONArray("args")), answer -> say("ack", id, answer));
  }

  private static Object[] objects(JSONArray array) throws JSONException {
    var all = new Object[array.length()];
    for (int i = 0; i < all.length; i++) all[i] = array.get(i);
    return all;
  }

  private static Map<String, String> map(JSONObject object) throws JSONException {
    var map = new HashMap<String, String>();
    for (var name : JSONObject.getNames(object)) map.put(name, object.getString(name));
    return map;
  }

  private static synchronized void say(String on, String id, Object... args) {
    var told = Arrays.stream(args).map(a -> a instanceof Exception ? a.toString() : a).toList();
    try {
      System.out.println(new JSONObject().put("on", on).put("id", id).put("args", new JSONArray(told)));
    } catch (JSONException e) {
      throw new IllegalStateException(e);
    }
  }
}

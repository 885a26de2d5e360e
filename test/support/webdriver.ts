// What stands in for a browser and its driver: a server that speaks as much of the WebDriver protocol, or of the JSON Wire
// protocol that came before it, as the tests need. Its one page has a field, a button that sends what is in it, and a list.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const W3C_ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

export interface Driver {
  port: number;
  stop(): void;
}

export async function startDriver(protocol: "w3c" | "json-wire"): Promise<Driver> {
  const page = new Page();
  const server: Server = createServer(async (req, res) => {
    let text = "";
    for await (const chunk of req) text += chunk;
    const [, , , command = "", id = "", action = ""] = (req.url as string).split("/");
    const { value, failed } = page.answer(
      `${req.method} ${action || command}`,
      id,
      text === "" ? {} : JSON.parse(text),
    );
    const found = JSON.stringify(value).replaceAll('"ELEMENT"', `"${protocol === "w3c" ? W3C_ELEMENT : "ELEMENT"}"`);
    const status = failed ? 7 : 0;
    res.writeHead(failed ? 404 : 200, { "content-type": "application/json" });
    res.end(protocol === "w3c" ? `{"value":${found}}` : `{"sessionId":"1","status":${status},"value":${found}}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, stop };
}

interface Answer {
  value: unknown;
  failed?: boolean;
}

class Page {
  #url = "about:blank";
  #typed = "";
  #sent = "";

  answer(command: string, id: string, body: { url?: string; value?: string | string[]; text?: string }): Answer {
    switch (command) {
      case "POST ": {
        const capabilities = { browserName: "chrome", browserVersion: "100", platformName: "linux" };
        return { value: { sessionId: "1", capabilities, setWindowRect: true } };
      }
      case "POST url":
        this.#url = body.url as string;
        return { value: null };
      case "GET url":
        return { value: this.#url };
      case "GET title":
        return { value: `Title of ${this.#url}` };
      case "POST element": {
        const [first] = elements(body.value as string);
        if (first === undefined) return { value: { error: "no such element", message: "there is none" }, failed: true };
        return { value: { ELEMENT: first } };
      }
      case "POST elements":
        return { value: elements(body.value as string).map((found) => ({ ELEMENT: found })) };
      case "GET text":
        return { value: this.#text(id) };
      case "POST clear":
        this.#typed = "";
        return { value: null };
      case "POST value":
        this.#typed += body.text ?? (body.value as string[]).join("");
        return { value: null };
      case "POST click":
        this.#sent = this.#typed;
        return { value: null };
      default:
        return { value: null };
    }
  }

  #text(id: string): string {
    return id === "button" ? `Sent: ${this.#sent}` : id;
  }
}

function elements(selector: string): string[] {
  if (selector === "li") return ["one", "two"];
  return selector === "input" || selector === "button" ? [selector] : [];
}

import { render } from "preact";
import { Access } from "./access";
import { Api } from "./api";
import { App } from "./app";
import { ApiContext } from "./context";
import "./css/tokens.css";
import "./css/base.css";
import "./css/parts.css";
import "./css/views.css";

const access = new Access(() => sessionStorage);
const page = document.getElementById("page");

if (page) {
  render(
    <ApiContext.Provider value={new Api(access)}>
      <App />
    </ApiContext.Provider>,
    page,
  );
}
